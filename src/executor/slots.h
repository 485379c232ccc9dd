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
  // Draws and scores what the batch asks for, divided between the threads of `team`, if any. `late` are the
  // masks of the samples that wait for theirs, in order. `logits_of(i)` gives the raw logits [V] of
  // samples[i].row.
  void Sample(const StepBatch& batch, std::span<const TokenMask* const> late,
              const std::function<std::span<const float>(size_t)>& logits_of, ThreadTeam* team,
              std::vector<SampledToken>& out);

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
  std::vector<Sampler> samplers_;        // one for each share of the samples
  std::vector<const TokenMask*> masks_;  // of each sample
};

// Masks that come between Submit and Wait, for executors that compute in the one and sample in the other.
class LateMasks {
 public:
  // A step begins that asks for these samples.
  void Begin(std::span<const SampleSpec> samples);
  void Give(std::span<const TokenMask* const> masks);
  std::span<const TokenMask* const> Take();  // the step's: as many as it asked for

 private:
  std::vector<const TokenMask*> masks_;
  size_t wanted_ = 0;
};

}  // namespace oxidized
