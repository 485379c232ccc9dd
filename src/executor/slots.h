// What every executor keeps for a slot between steps, and the end of a step that they all share: logits to
// tokens.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "executor/step_batch.h"
#include "parallel/thread_team.h"
#include "sampling/sampler.h"

namespace oxidized {

class Slots {
 public:
  Slots(int32_t max_sequences, int32_t vocab_size);

  void Reset(int32_t slot, std::span<const int32_t> reused);
  // Replaces kLastSampled, and counts every token fed, also in rows that turn out void: the engine guesses
  // nothing ahead for a request with penalties. `token_ids` [T] receives the result.
  void Feed(const StepBatch& batch, std::span<int32_t> token_ids);
  // Draws and scores what the batch asks for, divided between the threads of `team`, if any. `logits_of(i)`
  // gives the raw logits [V] of samples[i].row.
  void Sample(const StepBatch& batch, const std::function<std::span<const float>(size_t)>& logits_of,
              ThreadTeam* team, std::vector<SampledToken>& out);

 private:
  struct Slot {
    int32_t last_sampled = 0;  // what kLastSampled stands for
    TokenHistory history;
  };
  Slot& SlotOf(const StepBatch& batch, const SampleSpec& spec) {
    return slots_[static_cast<size_t>(batch.slot[static_cast<size_t>(batch.SequenceOf(spec.row))])];
  }

  int32_t vocab_size_;
  std::vector<Slot> slots_;
  std::vector<Sampler> samplers_;  // one for each share of the samples
};

}  // namespace oxidized
