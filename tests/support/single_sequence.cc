#include "support/single_sequence.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "executor/taps.h"
#include "kv/block_pool.h"

namespace oxidized::test {
namespace {

void Append(Matrix& to, std::span<const float> values, int64_t cols) {
  OX_CHECK(cols > 0 && static_cast<int64_t>(values.size()) % cols == 0 && (to.rows == 0 || to.cols == cols));
  to.cols = cols;
  to.rows += static_cast<int64_t>(values.size()) / cols;
  to.values.insert(to.values.end(), values.begin(), values.end());
}

// The blocks of the sequence in one KV group.
class GroupBlocks {
 public:
  GroupBlocks(int32_t window, int32_t num_blocks) : window_(window), free_(static_cast<size_t>(num_blocks)) {
    // A stride that shares no factor with the count visits every block, and never two neighbours in a row.
    int32_t stride = num_blocks * 5 / 8 + 1;
    while (std::gcd(stride, num_blocks) != 1) ++stride;
    for (int32_t i = 0; i < num_blocks; ++i)
      free_[static_cast<size_t>(i)] = static_cast<int32_t>(static_cast<int64_t>(i + 1) * stride % num_blocks);
  }

  void Cover(int64_t end) {
    while (table_.end_position() < end) {
      OX_CHECK(!free_.empty());
      table_.blocks.push_back(free_.back());
      free_.pop_back();
    }
  }

  // `next` is the position of the next query: what lies before its window is no longer needed.
  void ReleaseBehind(int64_t next) {
    while (window_ > 0 && table_.first_position + kKvBlockTokens <= next - window_ + 1) {
      free_.insert(free_.begin(), table_.blocks.front());
      table_.blocks.erase(table_.blocks.begin());
      table_.first_position += kKvBlockTokens;
    }
  }

  BlockTables View() {
    offsets_ = {0, static_cast<int32_t>(table_.blocks.size())};
    return {offsets_, {&table_.first_position, 1}, table_.blocks};
  }

 private:
  int32_t window_;
  std::vector<int32_t> free_;
  BlockTable table_;
  std::vector<int32_t> offsets_;
};

class Run final : LogitsSink, TapSink {
 public:
  Run(Executor& executor, const SingleSequenceOptions& options) : executor_(executor), options_(options) {
    const ExecutorInfo& info = executor.Info();
    for (size_t g = 0; g < info.kv_windows.size(); ++g)
      groups_.emplace_back(info.kv_windows[g], info.kv_blocks[g]);
    executor.ResetSlot(options.slot, {});
    greedy_.temperature = 0.0;
  }

  SingleSequenceResult All(std::span<const int32_t> prompt) {
    const auto size = static_cast<int64_t>(prompt.size());
    int64_t chunk = options_.chunk_tokens > 0 ? options_.chunk_tokens : size;
    chunk = std::min<int64_t>(chunk, executor_.Info().max_step_tokens);
    OX_CHECK(size > 0 && chunk > 0 && size + options_.continuation <= executor_.Info().max_context);
    while (next_ < size) {
      // A chunk never straddles keep_from, so that a step's rows are all kept or all left.
      int64_t count = std::min(chunk, size - next_);
      if (next_ < options_.keep_from) count = std::min(count, options_.keep_from - next_);
      keep_ = next_ >= options_.keep_from;
      Step(prompt.subspan(static_cast<size_t>(next_), static_cast<size_t>(count)), next_ + count == size);
    }
    keep_ = false;
    const int32_t last = kLastSampled;
    while (static_cast<int32_t>(result_.continuation.size()) < options_.continuation) Step({&last, 1}, true);
    return std::move(result_);
  }

 private:
  void Step(std::span<const int32_t> tokens, bool sample) {
    const auto count = static_cast<int32_t>(tokens.size());
    std::vector<int64_t> positions(tokens.size());
    std::iota(positions.begin(), positions.end(), next_);
    const std::vector<int32_t> query_start = {0, count};
    const int64_t context_len = next_ + count;
    std::vector<BlockTables> kv;
    for (GroupBlocks& group : groups_) {
      group.Cover(context_len);
      kv.push_back(group.View());
    }
    const int32_t policy = 0;
    LogitsSink* const sink = this;
    std::vector<SampleSpec> samples;
    if (sample && options_.continuation > 0) samples.push_back({.row = count - 1, .params = &greedy_});

    StepBatch batch;
    batch.token_ids = tokens;
    batch.positions = positions;
    batch.query_start = query_start;
    batch.context_len = {&context_len, 1};
    batch.slot = {&options_.slot, 1};
    batch.policy = {&policy, 1};
    batch.policies = {&options_.policy, 1};
    batch.kv = kv;
    batch.samples = samples;
    if (keep_) {
      batch.logits = {&sink, 1};
      batch.taps = this;
    }
    StepResult step;
    executor_.Wait(executor_.Submit(batch), step);

    OX_CHECK(step.samples.size() == samples.size());
    for (const SampledToken& token : step.samples) {
      OX_CHECK(token.finite);
      result_.continuation.push_back(token.token);
    }
    next_ = context_len;
    for (GroupBlocks& group : groups_) group.ReleaseBehind(next_);
  }

  void Row(int64_t position, std::span<const float> logits) override {
    OX_CHECK(position == options_.keep_from + result_.logits.rows);
    Append(result_.logits, logits, static_cast<int64_t>(logits.size()));
  }

  void Tap(std::string_view name, int32_t layer, std::span<const float> values, int64_t cols) override {
    Append(name == tap::kLogits ? result_.logits_tap : result_.taps[{std::string(name), layer}], values,
           cols);
  }

  Executor& executor_;
  const SingleSequenceOptions& options_;
  SamplingParams greedy_;
  std::vector<GroupBlocks> groups_;
  int64_t next_ = 0;  // position of the next token fed
  bool keep_ = false;
  SingleSequenceResult result_;
};

}  // namespace

SingleSequenceResult RunSingleSequence(Executor& executor, std::span<const int32_t> prompt,
                                       const SingleSequenceOptions& options) {
  return Run(executor, options).All(prompt);
}

}  // namespace oxidized::test
