// An executor with something wrong: passes on to a sound one, and lets hooks change what goes in and what
// comes out. For planting faults; without hooks it changes nothing.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "executor/executor.h"

namespace oxidized::conformance {

// A batch that hooks may change: the arrays are its own, sinks and masks those of the caller.
struct ChangedBatch {
  explicit ChangedBatch(const StepBatch& batch);

  std::vector<int32_t> token_ids, slot, policy;
  std::vector<int64_t> positions;
  std::vector<RoutingPolicy> policies;
  std::vector<SampleSpec> samples;
  std::vector<SamplingParams> params;  // [samples] what samples[i].params views, where it views something
  StepBatch batch;                     // views all of it; what else hooks set stays
};

struct Hooks {
  std::function<void(ExecutorInfo& info)> info;
  std::function<void(ChangedBatch& batch)> before;
  // `given` is what Wait was called with: garbage that a careless executor leaves in the result.
  std::function<void(const StepBatch& batch, const StepResult& given, StepResult& result)> after;
  std::function<void(Executor& executor, int32_t slot, std::span<const int32_t> reused)> reset;
  std::function<void(Executor& executor, std::span<const BlockCopy> copies)> copy;
  std::function<std::vector<const TokenMask*>(std::span<const TokenMask* const> masks)> late_masks;
};

class WrappedExecutor final : public Executor {
 public:
  WrappedExecutor(std::unique_ptr<Executor> executor, Hooks hooks);

  const ExecutorInfo& Info() const override { return info_; }
  StepTicket Submit(const StepBatch& batch) override;
  void Wait(StepTicket ticket, StepResult& result) override;
  void GiveMasks(StepTicket ticket, std::span<const TokenMask* const> masks) override;
  void ResetSlot(int32_t slot, std::span<const int32_t> reused) override;
  void CopyBlocks(std::span<const BlockCopy> copies) override;

  bool fail_next = false;  // the next step throws Error(kRequestFailed) when it is waited for

 private:
  struct Flying {
    StepBatch given;
    std::unique_ptr<ChangedBatch> changed;
    bool fails = false;
  };
  const std::unique_ptr<Executor> executor_;
  const Hooks hooks_;
  ExecutorInfo info_;
  std::deque<Flying> flying_;
  std::vector<const TokenMask*> late_masks_;
};

}  // namespace oxidized::conformance
