#include "executor/slots.h"

#include <algorithm>

#include "base/error.h"

namespace oxidized {

Slots::Slots(int32_t max_sequences, int32_t vocab_size)
    : vocab_size_(vocab_size), slots_(static_cast<size_t>(max_sequences)) {}

void Slots::Reset(int32_t slot, std::span<const int32_t> reused) {
  Slot& state = slots_[static_cast<size_t>(slot)];
  state.last_sampled = -1;
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

void Slots::Sample(const StepBatch& batch, const std::function<std::span<const float>(size_t)>& logits_of,
                   std::vector<SampledToken>& out) {
  static const SamplingParams kGreedy{.temperature = 0.0};
  out.resize(batch.samples.size());
  for (size_t i = 0; i < batch.samples.size(); ++i) {
    const SampleSpec& spec = batch.samples[i];
    const int32_t sequence = batch.SequenceOf(spec.row);
    Slot& slot = slots_[static_cast<size_t>(batch.slot[static_cast<size_t>(sequence)])];
    const int64_t position = batch.positions[static_cast<size_t>(spec.row)] + 1;
    sampler_.Sample(logits_of(i), spec.params != nullptr ? *spec.params : kGreedy, spec.mask, &slot.history,
                    position, spec.top_logprobs, spec.score_token, out[i]);
    if (spec.params != nullptr && out[i].finite) slot.last_sampled = out[i].token;
  }
}

}  // namespace oxidized
