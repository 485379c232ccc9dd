#include "executor/testing/fake_executor.h"

#include <algorithm>

#include "base/error.h"

namespace oxidized {

FakeExecutor::FakeExecutor(const FakeOptions& options)
    : lazy_(options.lazy),
      damaged_every_(options.damaged_every),
      slots_(static_cast<size_t>(options.max_sequences)) {
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
  info_.steps_in_flight = options.steps_in_flight;
  info_.late_masks = options.late_masks;
  info_.can = options.can;
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
  OX_CHECK(in_flight_ < info_.steps_in_flight);
  Call call;
  call.batch = batch;
  call.ticket = static_cast<uint64_t>(++steps_);
  for (const SampleSpec& spec : batch.samples) call.late += spec.late_mask;
  OX_CHECK(call.late == 0 || info_.late_masks);
  const StepTicket ticket{call.ticket};
  most_in_flight_ = std::max(most_in_flight_, ++in_flight_);
  Add(std::move(call));
  if (calls_.back().error) {
    const std::exception_ptr error = calls_.back().error;
    calls_.pop_back();
    --in_flight_;
    std::rethrow_exception(error);
  }
  return ticket;
}

void FakeExecutor::GiveMasks(StepTicket ticket, std::span<const TokenMask* const> masks) {
  const auto call =
      std::find_if(calls_.begin(), calls_.end(), [&](const Call& c) { return c.ticket == ticket.id; });
  OX_CHECK(call != calls_.end() && !call->masks && call->late > 0 && masks.size() == call->late);
  call->masks.emplace(masks.begin(), masks.end());
  if (!lazy_) Run(~uint64_t{0});
}

void FakeExecutor::Wait(StepTicket ticket, StepResult& result) {
  Run(ticket.id);
  OX_CHECK(!calls_.empty() && calls_.front().ticket == ticket.id && calls_.front().computed);
  Call call = std::move(calls_.front());
  calls_.pop_front();
  --in_flight_;
  if (call.error) std::rethrow_exception(call.error);
  OX_CHECK(call.sampled);
  std::swap(result, call.result);
}

void FakeExecutor::ResetSlot(int32_t slot, std::span<const int32_t> reused) {
  OX_CHECK(slot >= 0 && slot < info_.max_sequences);
  Call call;
  call.slot = slot;
  call.reused.assign(reused.begin(), reused.end());
  Add(std::move(call));
}

void FakeExecutor::CopyBlocks(std::span<const BlockCopy> copies) {
  Call call;
  call.copies.assign(copies.begin(), copies.end());
  Add(std::move(call));
}

void FakeExecutor::Add(Call call) {
  calls_.push_back(std::move(call));
  if (!lazy_) Run(~uint64_t{0});
}

void FakeExecutor::Run(uint64_t until) {
  for (auto call = calls_.begin(); call != calls_.end();) {
    if (!Run(*call)) return;  // waits for masks; what is behind it waits too
    const uint64_t ticket = call->ticket;
    call = call->is_step() ? std::next(call) : calls_.erase(call);
    if (ticket == until) return;
  }
}

// False: it cannot go on yet.
bool FakeExecutor::Run(Call& call) {
  if (call.slot >= 0) {
    Slot& slot = slots_[static_cast<size_t>(call.slot)];
    slot = {};
    for (const int32_t token : call.reused) slot.fed += Mix(0, token);
  }
  for (const BlockCopy& copy : call.copies) {
    auto& cells = kv_[static_cast<size_t>(copy.group)];
    std::copy_n(cells.begin() + copy.from * kKvBlockTokens, kKvBlockTokens,
                cells.begin() + copy.to * kKvBlockTokens);
  }
  if (!call.is_step()) return true;
  if (!call.computed) {
    call.computed = true;
    try {
      call.poisoned = on_step && on_step(computed_++);
      Compute(call);
    } catch (...) {
      call.error = std::current_exception();
      for (const int32_t slot : call.batch.slot) slots_[static_cast<size_t>(slot)].failed = true;
    }
  }
  if (call.error || call.sampled) return true;
  if (call.late > 0 && !call.masks) return false;
  Sample(call);
  call.sampled = true;
  return true;
}

void FakeExecutor::Compute(Call& call) {
  const StepBatch& batch = call.batch;
  call.hashes.resize(batch.token_ids.size());
  call.result.routing.Resize(info_.num_layers, batch.num_tokens(), 1,
                             batch.router_logits ? info_.num_experts : 0);
  for (int32_t s = 0; s < batch.num_sequences(); ++s) {
    const auto sequence = static_cast<size_t>(s);
    const int32_t begin = batch.query_start[sequence], end = batch.query_start[sequence + 1];
    OX_CHECK(begin < end);
    Slot& slot = slots_[static_cast<size_t>(batch.slot[sequence])];
    const int32_t adapter = batch.adapter.empty() ? -1 : batch.adapter[sequence];
    for (int32_t row = begin; row < end;
         ++row) {  // written row by row, as a chunk's later rows see its earlier ones
      const int64_t position = batch.positions[static_cast<size_t>(row)];
      int32_t token = batch.token_ids[static_cast<size_t>(row)];
      if (token == kLastSampled) token = slot.last_sampled;
      OX_CHECK(token >= 0 && token < info_.vocab_size);
      OX_CHECK(position < info_.max_context && position < batch.context_len[sequence]);
      slot.fed += Mix(0, token);
      uint64_t hash = 0;
      for (size_t g = 0; g < kv_.size(); ++g) {
        At(batch, g, s, position) = {position, token + (adapter + 1) * info_.vocab_size};
        const int64_t window = info_.kv_windows[g];
        for (int64_t p = window == 0 ? 0 : std::max<int64_t>(0, position - window + 1); p <= position; ++p) {
          const Cell& cell = At(batch, g, s, p);
          OX_CHECK(cell.position == p || slot.failed);  // a block was freed, moved or overwritten
          hash = Mix(hash, cell.token);
        }
      }
      call.hashes[static_cast<size_t>(row)] = hash;
      // The first layer has one expert for all, the second tells rows apart.
      call.result.routing.Rows(0, batch.num_tokens(), row, row + 1).experts[0] = 0;
      call.result.routing.Rows(1, batch.num_tokens(), row, row + 1).experts[0] =
          static_cast<int32_t>(hash >> 7) & 3;
    }
    LogitsSink* sink = batch.logits.empty() ? nullptr : batch.logits[sequence];
    for (int32_t row = begin; sink != nullptr && row < end; ++row) {
      std::vector<float> logits(static_cast<size_t>(info_.vocab_size));
      logits[static_cast<size_t>(Next(call.hashes[static_cast<size_t>(row)]))] = 1.0f;
      sink->Row(batch.positions[static_cast<size_t>(row)], logits);
    }
  }
  if (batch.taps != nullptr) {
    std::vector<float> ids;
    for (const uint64_t hash : call.hashes) ids.push_back(static_cast<float>(hash >> 40));
    batch.taps->Tap("hash", -1, ids, 1);
  }
}

void FakeExecutor::Sample(Call& call) {
  const StepBatch& batch = call.batch;
  size_t late = 0;
  for (const SampleSpec& spec : batch.samples) {
    SampledToken sampled;
    uint64_t hash = call.hashes[static_cast<size_t>(spec.row)];
    sampled.logprob = sampled.score = -static_cast<float>(hash >> 40);
    sampled.finite =
        !call.poisoned && (damaged_every_ == 0 || (hash >> 30) % static_cast<uint64_t>(damaged_every_) != 0);
    if (spec.params != nullptr) {
      Slot& slot = slots_[static_cast<size_t>(batch.slot[static_cast<size_t>(batch.SequenceOf(spec.row))])];
      if (spec.params->needs_history()) hash = (hash ^ slot.fed) * 0x9E3779B97F4A7C15u;
      const TokenMask* mask = spec.late_mask ? (*call.masks)[late++] : spec.mask;
      sampled.token = Next(hash);
      int32_t tried = 0;
      while (mask != nullptr && !mask->allows(sampled.token) && tried++ < info_.vocab_size)
        sampled.token = (sampled.token + 1) % info_.vocab_size;
      sampled.empty_mask = tried > info_.vocab_size;
      slot.last_sampled = sampled.finite && !sampled.empty_mask ? sampled.token : 0;
    }
    call.result.samples.push_back(sampled);
  }
}

}  // namespace oxidized
