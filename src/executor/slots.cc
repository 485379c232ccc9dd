#include "executor/slots.h"

#include <algorithm>

#include "base/error.h"

namespace oxidized {

Slots::Slots(int32_t max_sequences, int32_t vocab_size)
    : vocab_size_(vocab_size), slots_(static_cast<size_t>(max_sequences)), samplers_(1) {}

void Slots::Reset(int32_t slot, std::span<const int32_t> reused) {
  Slot& state = slots_[static_cast<size_t>(slot)];
  state.last_sampled = 0;
  state.history.Reset(vocab_size_, reused);
}

void Slots::Feed(const StepBatch& batch, std::span<int32_t> token_ids) {
  for (int32_t s = 0; s < batch.num_sequences(); ++s) {
    Slot& slot = slots_[static_cast<size_t>(batch.slot[static_cast<size_t>(s)])];
    const auto begin = static_cast<size_t>(batch.query_start[static_cast<size_t>(s)]);
    const auto end = static_cast<size_t>(batch.query_start[static_cast<size_t>(s) + 1]);
    for (size_t row = begin; row < end; ++row) {
      const int32_t id = batch.token_ids[row];
      token_ids[row] = id == kLastSampled ? slot.last_sampled : id;
      OX_CHECK(token_ids[row] >= 0 && token_ids[row] < vocab_size_);
      slot.history.Add(token_ids[row]);
    }
  }
}

void Slots::Sample(const StepBatch& batch, std::span<const TokenMask* const> late,
                   const std::function<std::span<const float>(size_t)>& logits_of, ThreadTeam* team,
                   std::vector<SampledToken>& out) {
  static const SamplingParams kGreedy{.temperature = 0.0};
  const size_t count = batch.samples.size();
  out.resize(count);
  masks_.clear();
  for (const SampleSpec& spec : batch.samples) {
    masks_.push_back(spec.late_mask ? late.front() : spec.mask);
    if (spec.late_mask) late = late.subspan(1);
  }
  const auto sample = [&](size_t share, size_t shares) {
    for (size_t i = share; i < count; i += shares) {
      const SampleSpec& spec = batch.samples[i];
      const int64_t position = batch.positions[static_cast<size_t>(spec.row)] + 1;
      samplers_[share].Sample(logits_of(i), spec.params != nullptr ? *spec.params : kGreedy, masks_[i],
                              &SlotOf(batch, spec).history, position, spec.top_logprobs, spec.score_token,
                              out[i]);
    }
  };
  if (team != nullptr && count > 1) {
    samplers_.resize(std::max(samplers_.size(), static_cast<size_t>(team->size())));
    team->Run(
        [&](int share, int shares) { sample(static_cast<size_t>(share), static_cast<size_t>(shares)); });
  } else {
    sample(0, 1);
  }
  for (size_t i = 0; i < count; ++i) {
    const SampleSpec& spec = batch.samples[i];
    if (spec.params == nullptr) continue;
    SlotOf(batch, spec).last_sampled = out[i].finite && !out[i].empty_mask ? out[i].token : 0;
  }
}

void LateMasks::Begin(std::span<const SampleSpec> samples) {
  wanted_ = static_cast<size_t>(
      std::count_if(samples.begin(), samples.end(), [](const SampleSpec& spec) { return spec.late_mask; }));
  masks_.clear();
}

void LateMasks::Give(std::span<const TokenMask* const> masks) {
  OX_CHECK(masks_.empty() && wanted_ > 0 && masks.size() == wanted_);
  masks_.assign(masks.begin(), masks.end());
}

std::span<const TokenMask* const> LateMasks::Take() {
  OX_CHECK(masks_.size() == wanted_);
  return masks_;
}

}  // namespace oxidized
