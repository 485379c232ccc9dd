#include "executor/testing/fake_executor.h"

#include <algorithm>

#include "base/error.h"

namespace oxidized {

FakeExecutor::FakeExecutor(const FakeOptions& options) {
  info_.name = "fake";
  info_.num_layers = 2;
  info_.num_experts = 4;
  info_.experts_per_token = 1;
  info_.vocab_size = options.vocab_size;
  info_.max_context = options.max_context;
  info_.max_sequences = options.max_sequences;
  info_.max_step_tokens = options.max_step_tokens;
  info_.kv_windows = options.kv_windows;
  info_.kv_blocks = options.kv_blocks;
  for (const int32_t blocks : options.kv_blocks)
    kv_.emplace_back(static_cast<size_t>(blocks) * kKvBlockTokens);
}

uint64_t FakeExecutor::Mix(uint64_t hash, int32_t token) {
  return (hash ^ static_cast<uint64_t>(token + 1)) * 0x9E3779B97F4A7C15u + (hash >> 29);
}

int32_t FakeExecutor::Next(uint64_t hash) const {
  return static_cast<int32_t>((hash >> 20) % static_cast<uint64_t>(info_.vocab_size));
}

std::vector<int32_t> FakeExecutor::Expected(std::vector<int32_t> tokens, int64_t new_tokens) const {
  const size_t prompt = tokens.size();
  for (int64_t i = 0; i < new_tokens; ++i) {
    uint64_t hash = 0;
    for (const int32_t window : info_.kv_windows) {
      const size_t count = window == 0 ? tokens.size() : std::min(tokens.size(), static_cast<size_t>(window));
      for (size_t t = tokens.size() - count; t < tokens.size(); ++t) hash = Mix(hash, tokens[t]);
    }
    tokens.push_back(Next(hash));
  }
  return {tokens.begin() + static_cast<ptrdiff_t>(prompt), tokens.end()};
}

FakeExecutor::Cell& FakeExecutor::At(const StepBatch& batch, size_t group, int32_t sequence,
                                     int64_t position) {
  const auto s = static_cast<size_t>(sequence);
  const BlockTables& tables = batch.kv[group];
  const int64_t offset = position - tables.first_position[s];
  const int64_t index = tables.offsets[s] + offset / kKvBlockTokens;
  OX_CHECK(offset >= 0 && tables.first_position[s] % kKvBlockTokens == 0 && index < tables.offsets[s + 1]);
  const int64_t block = tables.block_ids[static_cast<size_t>(index)];
  return kv_[group][static_cast<size_t>(block * kKvBlockTokens + offset % kKvBlockTokens)];
}

StepTicket FakeExecutor::Submit(const StepBatch& batch) {
  OX_CHECK(batch.num_tokens() > 0 && batch.num_tokens() <= info_.max_step_tokens);
  OX_CHECK(batch.num_sequences() <= info_.max_sequences);
  const int64_t step = steps_++;
  const bool poison = on_step && on_step(step);

  std::vector<uint64_t> hashes(batch.token_ids.size());
  for (int32_t s = 0; s < batch.num_sequences(); ++s) {
    const int32_t begin = batch.query_start[static_cast<size_t>(s)],
                  end = batch.query_start[static_cast<size_t>(s) + 1];
    OX_CHECK(begin < end);
    for (int32_t row = begin; row < end;
         ++row) {  // written row by row, as a chunk's later rows see its earlier ones
      const int64_t position = batch.positions[static_cast<size_t>(row)];
      const int32_t token = batch.token_ids[static_cast<size_t>(row)];
      OX_CHECK(position < info_.max_context && position < batch.context_len[static_cast<size_t>(s)]);
      uint64_t hash = 0;
      for (size_t g = 0; g < kv_.size(); ++g) {
        At(batch, g, s, position) = {position, token};
        const int64_t window = info_.kv_windows[g];
        for (int64_t p = window == 0 ? 0 : std::max<int64_t>(0, position - window + 1); p <= position; ++p) {
          const Cell& cell = At(batch, g, s, p);
          OX_CHECK(cell.position == p);  // a block was freed, moved or overwritten
          hash = Mix(hash, cell.token);
        }
      }
      hashes[static_cast<size_t>(row)] = hash;
    }
  }
  result_ = StepResult{};
  result_.routing.Resize(info_.num_layers, batch.num_tokens(), 1,
                         batch.router_logits ? info_.num_experts : 0);
  std::fill(result_.routing.experts.begin(), result_.routing.experts.end(), 0);
  for (const SampleSpec& spec : batch.samples) {
    SampledToken sampled;
    const uint64_t hash = hashes[static_cast<size_t>(spec.row)];
    sampled.token = Next(hash);
    while (spec.mask != nullptr && !spec.mask->allows(sampled.token))
      sampled.token = (sampled.token + 1) % info_.vocab_size;
    sampled.logprob = -static_cast<float>(hash >> 40);
    sampled.finite = !poison;
    result_.samples.push_back(sampled);
  }
  return {static_cast<uint64_t>(steps_)};
}

void FakeExecutor::Wait(StepTicket ticket, StepResult& result) {
  OX_CHECK(ticket.id == static_cast<uint64_t>(steps_));
  std::swap(result, result_);
}

void FakeExecutor::ResetSlot(int32_t slot, std::span<const int32_t>) {
  OX_CHECK(slot >= 0 && slot < info_.max_sequences);
}

void FakeExecutor::CopyBlocks(std::span<const BlockCopy> copies) {
  for (const BlockCopy& copy : copies) {
    auto& cells = kv_[static_cast<size_t>(copy.group)];
    std::copy_n(cells.begin() + copy.from * kKvBlockTokens, kKvBlockTokens,
                cells.begin() + copy.to * kKvBlockTokens);
  }
}

}  // namespace oxidized
