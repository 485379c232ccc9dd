// An executor without a model, for testing engines: its KV memory holds the tokens themselves, and the next
// token is a hash of every token that the block tables make visible. A wrong table, a block freed too early
// or shared by mistake changes the text or trips a check, whatever the schedule. Of sampling it knows masks
// (the next allowed id) and gives a log-probability that tells the row.
#pragma once

#include <functional>
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
};

class FakeExecutor final : public Executor {
 public:
  explicit FakeExecutor(const FakeOptions& options);

  const ExecutorInfo& Info() const override { return info_; }
  StepTicket Submit(const StepBatch& batch) override;
  void Wait(StepTicket ticket, StepResult& result) override;
  void ResetSlot(int32_t slot, std::span<const int32_t> reused) override;
  void CopyBlocks(std::span<const BlockCopy> copies) override;

  // The continuation that any correct schedule must give. Windows count, as in the real model.
  std::vector<int32_t> Expected(std::vector<int32_t> prompt, int64_t new_tokens) const;

  // Planted failures: called with the number of the step (from 0); may throw; true makes its logits
  // non-finite.
  std::function<bool(int64_t step)> on_step;
  int64_t steps() const { return steps_; }

 private:
  struct Cell {
    int64_t position = -1;
    int32_t token = -1;
  };
  Cell& At(const StepBatch& batch, size_t group, int32_t sequence, int64_t position);
  static uint64_t Mix(uint64_t hash, int32_t token);
  int32_t Next(uint64_t hash) const;

  ExecutorInfo info_;
  std::vector<std::vector<Cell>> kv_;  // [groups][blocks * B]
  StepResult result_;
  int64_t steps_ = 0;
};

}  // namespace oxidized
