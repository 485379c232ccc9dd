// An executor without a model, for testing engines: its KV memory holds the tokens themselves, and the next
// token is a hash of every token that the block tables make visible. A wrong table, a block freed too early
// or shared by mistake changes the text or trips a check, whatever the schedule. Of sampling it knows masks
// (the next allowed id) and penalties (any of them mixes what the slot was fed into the hash), and gives a
// log-probability that tells the row. An adapter is a salt of the tokens in KV.
//
// It takes one step at a time or two, and does what it is told as soon as it can or as late as it may: what
// an engine changes too early shows in the one case, what it needs too early in the other. What it does on a
// thread of its own is QueuedExecutor's part.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <optional>
#include <vector>

#include "executor/executor.h"

namespace oxidized {

struct FakeOptions {
  int32_t vocab_size = 97;
  int64_t max_context = 512;
  int32_t max_sequences = 4;
  int32_t max_step_tokens = 64;
  std::vector<int32_t> kv_windows = {0, 40};
  std::vector<int32_t> kv_blocks = {16, 24};
  int32_t steps_in_flight = 1;
  bool late_masks = false;
  bool lazy = false;  // nothing is done before the Wait that needs it
  ExecutorAbilities can = {};
  int32_t damaged_every = 0;  // every so many rows, by their hash, logits are not finite; 0: none
};

class FakeExecutor final : public Executor {
 public:
  explicit FakeExecutor(const FakeOptions& options);

  const ExecutorInfo& Info() const override { return info_; }
  StepTicket Submit(const StepBatch& batch) override;
  void Wait(StepTicket ticket, StepResult& result) override;
  void GiveMasks(StepTicket ticket, std::span<const TokenMask* const> masks) override;
  void ResetSlot(int32_t slot, std::span<const int32_t> reused) override;
  void CopyBlocks(std::span<const BlockCopy> copies) override;

  // The continuation that any correct schedule must give. Windows count, as in the real model.
  std::vector<int32_t> Expected(std::vector<int32_t> prompt, int64_t new_tokens) const;

  // Planted failures: called with the number of the step (from 0); may throw; true makes its logits
  // non-finite.
  std::function<bool(int64_t step)> on_step;
  int64_t steps() const { return steps_; }  // submitted
  int64_t most_in_flight() const { return most_in_flight_; }

 private:
  struct Cell {
    int64_t position = -1;
    int32_t token = -1;  // with its adapter's salt
  };
  struct Slot {
    int32_t last_sampled = 0;
    uint64_t fed = 0;     // a sum over tokens: their order does not count
    bool failed = false;  // a step of it did: its KV is not defined
  };
  // A call, to be carried out in turn. Steps stay in the list until they are waited for.
  struct Call {
    StepBatch batch;  // of a step: no tokens otherwise
    uint64_t ticket = 0;
    size_t late = 0;  // samples with late masks
    std::optional<std::vector<const TokenMask*>> masks;
    int32_t slot = -1;
    std::vector<int32_t> reused;
    std::vector<BlockCopy> copies;

    bool computed = false, sampled = false, poisoned = false;
    std::exception_ptr error;
    std::vector<uint64_t> hashes;  // [T]
    StepResult result;
    bool is_step() const { return ticket != 0; }
  };

  void Add(Call call);
  void Run(uint64_t until);  // all calls up to that step, as far as they can go
  bool Run(Call& call);
  void Compute(Call& call);
  void Sample(Call& call);
  Cell& At(const StepBatch& batch, size_t group, int32_t sequence, int64_t position);
  static uint64_t Mix(uint64_t hash, int32_t token);
  int32_t Next(uint64_t hash) const;

  ExecutorInfo info_;
  const bool lazy_;
  const int32_t damaged_every_;
  std::vector<std::vector<Cell>> kv_;  // [groups][blocks * B]
  std::vector<Slot> slots_;
  std::list<Call> calls_;
  int64_t steps_ = 0, computed_ = 0, in_flight_ = 0, most_in_flight_ = 0;
};

}  // namespace oxidized
