// Makes an executor of one step at a time one of two: calls are queued and carried out in order on a thread
// of its own, as a device's driver does. For tests: on a CPU the thread would take turns with the team that
// computes, for text work that is a thousandth of a step (docs/adr/0009-two-steps-in-flight.md).
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "executor/executor.h"

namespace oxidized {

class QueuedExecutor final : public Executor {
 public:
  explicit QueuedExecutor(std::unique_ptr<Executor> executor);
  ~QueuedExecutor() override;  // every step must have been waited for

  const ExecutorInfo& Info() const override { return info_; }
  StepTicket Submit(const StepBatch& batch) override;
  void Wait(StepTicket ticket, StepResult& result) override;
  void GiveMasks(StepTicket ticket, std::span<const TokenMask* const> masks) override;
  void ResetSlot(int32_t slot, std::span<const int32_t> reused) override;
  void CopyBlocks(std::span<const BlockCopy> copies) override;

 private:
  struct Step {
    StepBatch batch;
    bool late = false;  // waits for masks
    bool done = false;
    std::optional<std::vector<const TokenMask*>> masks;
    std::exception_ptr error;
    StepResult result;
  };

  void Enqueue(std::function<void()> call);
  void Run();
  void RunStep(Step& step);
  Step& StepOf(StepTicket ticket);

  const std::unique_ptr<Executor> executor_;
  ExecutorInfo info_;

  std::mutex mutex_;
  std::condition_variable work_, masks_, done_;
  std::deque<std::function<void()>> calls_;
  std::deque<std::shared_ptr<Step>> steps_;  // submitted and not waited for
  uint64_t first_ticket_ = 1;                // of steps_[0]
  std::exception_ptr failure_;               // of a call that was not a step: the next step's
  bool stop_ = false;
  std::jthread thread_;
};

}  // namespace oxidized
