#include "executor/testing/conformance/driver.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "base/rng.h"
#include "executor/taps.h"

namespace oxidized::conformance {
namespace {

// A result that no executor would give, of a size that depends on `salt`: some buffers are too long for the
// next step, some too short.
StepResult Garbage(uint64_t salt) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  const auto size = static_cast<size_t>(RandomBits(salt, 99, 0)[0] % 4000);
  StepResult result;
  for (size_t i = 0; i < size % 13; ++i) {
    result.samples.push_back({.token = 1,
                              .logprob = kNan,
                              .top = {{1, kNan}, {2, kNan}, {3, kNan}},
                              .score = kNan,
                              .finite = i % 2 == 0,
                              .empty_mask = i % 2 == 1});
  }
  result.routing.stride = 3;
  result.routing.experts.assign(size, 1);
  result.routing.weights.assign(size, kNan);
  result.routing.dropped.assign(size / 3, 0xEE);
  result.routing.rerouted.assign(size / 3, 0xEE);
  result.routing.logits.assign(size * 2, kNan);
  result.routing.logits_width = 6;
  result.stages.assign(size % 5, {.stage = "garbage", .microseconds = -1.0, .bytes = -1, .flops = -1});
  return result;
}

}  // namespace

bool SameBits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

// A step with all the memory that its batch views, and the sinks that it is given.
struct Driver::Prepared final : TapSink {
  struct Sink final : LogitsSink {
    Prepared* step = nullptr;
    size_t piece = 0;
    std::vector<std::pair<int64_t, std::vector<float>>> rows;
    void Row(int64_t position, std::span<const float> logits) override {
      rows.emplace_back(position, std::vector<float>(logits.begin(), logits.end()));
    }
  };
  struct Shown {
    int32_t layer;
    std::string name;
    int64_t cols;
    std::vector<float> values;
  };

  std::vector<Piece> pieces;
  StepTicket ticket;
  std::vector<int32_t> token_ids, query_start = {0}, slot, policy;
  std::vector<int64_t> positions, context_len;
  std::vector<RoutingPolicy> policies;
  std::vector<std::vector<int32_t>> offsets, block_ids;  // [groups]
  std::vector<std::vector<int64_t>> first;
  std::vector<BlockTables> kv;
  std::vector<SampleSpec> samples;
  std::vector<const TokenMask*> late_masks;
  std::vector<Sink> sinks;
  std::vector<LogitsSink*> sink_pointers;
  std::vector<Shown> shown;
  StepBatch batch;

  void Tap(std::string_view name, int32_t layer, std::span<const float> values, int64_t cols) override {
    shown.push_back({layer, std::string(name), cols, {values.begin(), values.end()}});
  }
};

Driver::Driver(Executor& executor, Findings& findings, Show show)
    : executor_(executor), findings_(findings), show_(show) {
  slot_taken_.resize(static_cast<size_t>(info().max_sequences));
  for (const int32_t blocks : info().kv_blocks) {
    // A stride that shares no factor with the count visits every block, and never two neighbours in a row.
    int32_t stride = blocks * 5 / 8 + 1;
    while (std::gcd(stride, blocks) != 1) ++stride;
    std::deque<int32_t>& free = free_.emplace_back();
    for (int64_t i = 1; i <= blocks; ++i) free.push_back(static_cast<int32_t>(i * stride % blocks));
  }
}

Driver::~Driver() = default;

int32_t Driver::Add(const RoutingPolicy& policy, int32_t slot) {
  if (slot < 0) {
    const auto lowest = std::find(slot_taken_.begin(), slot_taken_.end(), false);
    OX_CHECK(lowest != slot_taken_.end());
    slot = static_cast<int32_t>(lowest - slot_taken_.begin());
  }
  slot_taken_[static_cast<size_t>(slot)] = true;
  Sequence& sequence = sequences_.emplace_back();
  sequence.slot = slot;
  sequence.policy = policy;
  sequence.tables.resize(free_.size());
  executor_.ResetSlot(slot, {});
  return static_cast<int32_t>(sequences_.size()) - 1;
}

void Driver::End(int32_t sequence) {
  Sequence& ended = (*this)[sequence];
  slot_taken_[static_cast<size_t>(ended.slot)] = false;
  for (size_t g = 0; g < free_.size(); ++g) {
    // To the front: whoever comes next meets what lies there.
    free_[g].insert(free_[g].begin(), ended.tables[g].blocks.begin(), ended.tables[g].blocks.end());
    ended.tables[g] = {};
  }
}

int32_t Driver::TakeBlock(size_t group) {
  OX_CHECK(!free_[group].empty());
  const int32_t block = free_[group].front();
  free_[group].pop_front();
  return block;
}

int32_t Driver::Fork(int32_t from, int64_t tokens, std::vector<BlockCopy>& copies) {
  const int32_t number = Add((*this)[from].policy);
  Sequence& fork = (*this)[number];
  const Sequence& origin = (*this)[from];
  OX_CHECK(tokens <= origin.end());
  fork.tokens.assign(origin.tokens.begin(), origin.tokens.begin() + static_cast<ptrdiff_t>(tokens));
  for (size_t g = 0; g < free_.size(); ++g) {
    fork.tables[g].first_position = origin.tables[g].first_position;
    for (const int32_t block : origin.tables[g].blocks) {
      if (fork.tables[g].end_position() >= tokens) break;
      const int32_t copy = TakeBlock(g);
      copies.push_back({static_cast<int32_t>(g), block, copy});
      fork.tables[g].blocks.push_back(copy);
    }
  }
  executor_.ResetSlot(fork.slot, fork.tokens);
  return number;
}

// Tables for rows [first_row, end): a sliding one lets go of what no row from first_row on can see.
void Driver::Cover(Sequence& sequence, int64_t first_row, int64_t end) {
  for (size_t g = 0; g < free_.size(); ++g) {
    BlockTable& table = sequence.tables[g];
    const int32_t window = info().kv_windows[g];
    while (window > 0 && !table.blocks.empty() &&
           table.first_position + kKvBlockTokens <= first_row - window + 1) {
      free_[g].push_front(table.blocks.front());
      table.blocks.erase(table.blocks.begin());
      table.first_position += kKvBlockTokens;
    }
    while (table.end_position() < end) table.blocks.push_back(TakeBlock(g));
  }
}

void Driver::Submit(const std::vector<Piece>& pieces) {
  auto owned = std::make_unique<Prepared>();
  Prepared& step = *owned;
  step.pieces = pieces;
  const size_t groups = free_.size();
  step.offsets.assign(groups, {0});
  step.block_ids.resize(groups);
  step.first.resize(groups);
  step.sinks.resize(pieces.size());
  for (size_t i = 0; i < step.pieces.size(); ++i) {
    Piece& piece = step.pieces[i];
    Sequence& sequence = (*this)[piece.sequence];
    if (piece.position < 0) piece.position = sequence.end();
    const int64_t end = piece.position + static_cast<int64_t>(piece.tokens.size());
    const auto first_row = static_cast<int32_t>(step.token_ids.size());
    Cover(sequence, piece.position, end);
    sequence.tokens.resize(static_cast<size_t>(piece.position));
    for (const int32_t token : piece.tokens) {
      step.token_ids.push_back(token);
      step.positions.push_back(sequence.end());
      sequence.tokens.push_back(token);
    }
    step.query_start.push_back(static_cast<int32_t>(step.token_ids.size()));
    step.context_len.push_back(end);
    step.slot.push_back(sequence.slot);
    step.policy.push_back(static_cast<int32_t>(step.policies.size()));
    step.policies.push_back(sequence.policy);
    for (Want& want : piece.wants) {
      SampleSpec spec;
      spec.row = want.row < 0 ? static_cast<int32_t>(step.token_ids.size()) - 1 : first_row + want.row;
      spec.params = want.draw ? &want.params : nullptr;
      spec.mask = want.late ? nullptr : want.mask;
      spec.top_logprobs = want.top_logprobs;
      spec.score_token = want.score_token;
      spec.late_mask = want.late;
      if (want.late) step.late_masks.push_back(want.mask);
      step.samples.push_back(spec);
    }
    step.sinks[i].step = &step;
    step.sinks[i].piece = i;
    step.sink_pointers.push_back(&step.sinks[i]);
    for (size_t g = 0; g < groups; ++g) {
      const BlockTable& table = sequence.tables[g];
      step.block_ids[g].insert(step.block_ids[g].end(), table.blocks.begin(), table.blocks.end());
      step.offsets[g].push_back(static_cast<int32_t>(step.block_ids[g].size()));
      step.first[g].push_back(table.first_position);
    }
  }
  for (size_t g = 0; g < groups; ++g) step.kv.push_back({step.offsets[g], step.first[g], step.block_ids[g]});
  StepBatch& batch = step.batch;
  batch.token_ids = step.token_ids;
  batch.positions = step.positions;
  batch.query_start = step.query_start;
  batch.context_len = step.context_len;
  batch.slot = step.slot;
  batch.policy = step.policy;
  batch.policies = step.policies;
  batch.kv = step.kv;
  batch.samples = step.samples;
  if (show_.logits) batch.logits = step.sink_pointers;
  if (show_.taps) batch.taps = &step;
  batch.router_logits = show_.router_logits;
  step.ticket = executor_.Submit(batch);
  if (!step.late_masks.empty()) executor_.GiveMasks(step.ticket, step.late_masks);
  flying_.push_back(std::move(owned));
}

Samples Driver::Wait() {
  OX_CHECK(!flying_.empty());
  const std::unique_ptr<Prepared> step = std::move(flying_.front());
  flying_.pop_front();
  StepResult result = Garbage(poison_++);
  executor_.Wait(step->ticket, result);
  Samples samples;
  Collect(*step, result, samples);
  last_result_ = std::move(result);
  return samples;
}

void Driver::Collect(Prepared& step, StepResult& result, Samples& samples) {
  const StepBatch& batch = step.batch;
  const int64_t rows = batch.num_tokens();
  const auto piece_of = [&](int64_t row) { return static_cast<size_t>(batch.SequenceOf(row)); };

  // What kLastSampled stood for is known by now; a later step may have grown the sequence.
  for (int64_t row = 0; row < rows; ++row) {
    if (batch.token_ids[static_cast<size_t>(row)] != kLastSampled) continue;
    Sequence& sequence = (*this)[step.pieces[piece_of(row)].sequence];
    const auto position = static_cast<size_t>(batch.positions[static_cast<size_t>(row)]);
    if (position < sequence.tokens.size() && sequence.tokens[position] == kLastSampled)
      sequence.tokens[position] = sequence.last_sampled;
  }

  samples.resize(step.pieces.size());
  findings_.Expect(result.samples.size() == batch.samples.size(), "{} samples of {} asked for",
                   result.samples.size(), batch.samples.size());
  for (size_t i = 0; i < std::min(result.samples.size(), batch.samples.size()); ++i) {
    const size_t piece = piece_of(batch.samples[i].row);
    const SampledToken& sample = result.samples[i];
    samples[piece].push_back(sample);
    Sequence& sequence = (*this)[step.pieces[piece].sequence];
    sequence.samples.push_back(sample);
    if (batch.samples[i].params != nullptr) {
      sequence.last_sampled = sample.finite && !sample.empty_mask ? sample.token : 0;
    }
  }
  for (size_t i = 0; i < step.pieces.size(); ++i) samples[i].resize(step.pieces[i].wants.size());

  if (show_.logits) {
    for (size_t i = 0; i < step.sinks.size(); ++i) {
      Sequence& sequence = (*this)[step.pieces[i].sequence];
      int64_t position = step.pieces[i].position;
      findings_.Expect(step.sinks[i].rows.size() == step.pieces[i].tokens.size(),
                       "a sink got {} rows of logits of {}", step.sinks[i].rows.size(),
                       step.pieces[i].tokens.size());
      for (auto& [shown, logits] : step.sinks[i].rows) {
        findings_.Expect(shown == position, "a sink got the row of position {} where {} was next", shown,
                         position);
        findings_.Expect(static_cast<int64_t>(logits.size()) == info().vocab_size,
                         "a row of {} logits, the vocabulary has {}", logits.size(), info().vocab_size);
        sequence.logits[shown] = std::move(logits);
        ++position;
      }
    }
  }

  for (Prepared::Shown& shown : step.shown) {
    // Rows of logits exist where somebody asked for them.
    std::vector<int64_t> of;
    if (shown.name == tap::kLogits && !show_.logits) {
      for (const SampleSpec& spec : batch.samples) of.push_back(spec.row);
      std::sort(of.begin(), of.end());
      of.erase(std::unique(of.begin(), of.end()), of.end());
    } else {
      of.resize(static_cast<size_t>(rows));
      std::iota(of.begin(), of.end(), 0);
    }
    if (!findings_.Expect(shown.values.size() == of.size() * static_cast<size_t>(shown.cols),
                          "tap {} of layer {} has {} values, expected {} rows of {}", shown.name, shown.layer,
                          shown.values.size(), of.size(), shown.cols))
      continue;
    for (size_t i = 0; i < of.size(); ++i) {
      const auto begin = shown.values.begin() + static_cast<ptrdiff_t>(i) * shown.cols;
      (*this)[step.pieces[piece_of(of[i])].sequence]
          .taps[{shown.layer, shown.name}][batch.positions[static_cast<size_t>(of[i])]]
          .assign(begin, begin + shown.cols);
    }
  }

  if (!info().can.routing) return;
  RoutingObservation& routing = result.routing;
  int32_t width = 1;
  for (const RoutingPolicy& policy : batch.policies)
    width = std::max(width, ExpertsPerToken(policy, info().experts_per_token));
  const auto places = static_cast<size_t>(info().num_layers * rows);
  const size_t router = show_.router_logits ? static_cast<size_t>(info().num_experts) : 0;
  if (!findings_.Expect(
          routing.stride >= width && routing.experts.size() == places * static_cast<size_t>(routing.stride) &&
              routing.weights.size() == routing.experts.size() && routing.dropped.size() == places &&
              routing.rerouted.size() == places && routing.logits.size() == places * router &&
              routing.logits_width == static_cast<int32_t>(router),
          "the observation of {} rows in {} layers has stride {}, {} experts, {} weights, {} "
          "dropped, {} rerouted, {} logits of width {}",
          rows, info().num_layers, routing.stride, routing.experts.size(), routing.weights.size(),
          routing.dropped.size(), routing.rerouted.size(), routing.logits.size(), routing.logits_width))
    return;
  for (int32_t layer = 0; layer < info().num_layers; ++layer) {
    for (int32_t row = 0; row < rows; ++row) {
      const RoutedRows one = routing.Rows(layer, static_cast<int32_t>(rows), row, row + 1);
      const std::span<float> logits = routing.Logits(layer, static_cast<int32_t>(rows), row, row + 1);
      (*this)[step.pieces[piece_of(row)].sequence]
          .routing[{layer, batch.positions[static_cast<size_t>(row)]}] = {
          .experts = {one.experts.begin(), one.experts.end()},
          .weights = {one.weights.begin(), one.weights.end()},
          .dropped = one.dropped[0],
          .rerouted = one.rerouted[0],
          .logits = {logits.begin(), logits.end()}};
    }
  }
}

void ExpectSameBits(const Sequence& actual, const Sequence& expected, const std::string& what,
                    Findings& findings) {
  const auto rows = [&](const std::map<int64_t, std::vector<float>>& a,
                        const std::map<int64_t, std::vector<float>>& b, const std::string& name) {
    int64_t common = 0;
    for (const auto& [position, values] : b) {
      const auto found = a.find(position);
      if (found == a.end()) continue;
      ++common;
      if (SameBits(found->second, values)) continue;
      size_t i = 0;
      const size_t size = std::min(values.size(), found->second.size());
      while (i + 1 < size &&
             SameBits(std::span(values).subspan(i, 1), std::span(found->second).subspan(i, 1)))
        ++i;
      findings.Add("{}: {} at position {}, element {}: {} against {}", what, name, position, i,
                   i < size ? found->second[i] : NAN, i < size ? values[i] : NAN);
      return int64_t{-1};
    }
    return common;
  };
  const int64_t common = rows(actual.logits, expected.logits, "logits");
  findings.Expect(common != 0, "{}: no logits in common", what);
  for (const auto& [name, of] : expected.taps) {
    const auto found = actual.taps.find(name);
    if (found != actual.taps.end() &&
        rows(found->second, of, name.second + " of layer " + std::to_string(name.first)) < 0)
      return;
  }
}

}  // namespace oxidized::conformance
