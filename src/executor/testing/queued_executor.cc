#include "executor/testing/queued_executor.h"

#include <utility>

#include "base/error.h"

namespace oxidized {

QueuedExecutor::QueuedExecutor(std::unique_ptr<Executor> executor)
    : executor_(std::move(executor)), info_(executor_->Info()), thread_([this] { Run(); }) {
  OX_CHECK(info_.steps_in_flight == 1);
  info_.steps_in_flight = 2;
}

QueuedExecutor::~QueuedExecutor() {
  {
    std::lock_guard lock(mutex_);
    OX_CHECK(steps_.empty());
    stop_ = true;
  }
  work_.notify_all();
}

void QueuedExecutor::Enqueue(std::function<void()> call) {
  {
    std::lock_guard lock(mutex_);
    calls_.push_back(std::move(call));
  }
  work_.notify_one();
}

void QueuedExecutor::ResetSlot(int32_t slot, std::span<const int32_t> reused) {
  Enqueue(
      [this, slot, copy = std::vector(reused.begin(), reused.end())] { executor_->ResetSlot(slot, copy); });
}

void QueuedExecutor::CopyBlocks(std::span<const BlockCopy> copies) {
  Enqueue([this, copy = std::vector(copies.begin(), copies.end())] { executor_->CopyBlocks(copy); });
}

StepTicket QueuedExecutor::Submit(const StepBatch& batch) {
  auto step = std::make_shared<Step>();
  step->batch = batch;
  for (const SampleSpec& spec : batch.samples) step->late |= spec.late_mask;
  uint64_t ticket;
  {
    std::lock_guard lock(mutex_);
    OX_CHECK(static_cast<int32_t>(steps_.size()) < info_.steps_in_flight);
    ticket = first_ticket_ + steps_.size();
    steps_.push_back(step);
  }
  Enqueue([this, step] { RunStep(*step); });
  return {ticket};
}

QueuedExecutor::Step& QueuedExecutor::StepOf(StepTicket ticket) {
  OX_CHECK(ticket.id >= first_ticket_ && ticket.id < first_ticket_ + steps_.size());
  return *steps_[static_cast<size_t>(ticket.id - first_ticket_)];
}

void QueuedExecutor::GiveMasks(StepTicket ticket, std::span<const TokenMask* const> masks) {
  {
    std::lock_guard lock(mutex_);
    Step& step = StepOf(ticket);
    OX_CHECK(step.late && !step.masks);
    step.masks.emplace(masks.begin(), masks.end());
  }
  masks_.notify_one();
}

void QueuedExecutor::Wait(StepTicket ticket, StepResult& result) {
  std::shared_ptr<Step> step;
  {
    std::unique_lock lock(mutex_);
    OX_CHECK(ticket.id == first_ticket_ && !steps_.empty());
    step = steps_.front();
    done_.wait(lock, [&] { return step->done; });
    steps_.pop_front();
    ++first_ticket_;
  }
  // The queue's thread may let go of the step last, but not of what is thrown here.
  if (step->error) std::rethrow_exception(std::exchange(step->error, nullptr));
  std::swap(result, step->result);
}

void QueuedExecutor::RunStep(Step& step) {
  std::exception_ptr error = std::exchange(failure_, nullptr);
  try {
    if (error) std::rethrow_exception(error);
    const StepTicket ticket = executor_->Submit(step.batch);
    if (step.late) {
      std::unique_lock lock(mutex_);
      masks_.wait(lock, [&] { return step.masks.has_value(); });
      lock.unlock();
      executor_->GiveMasks(ticket, *step.masks);
    }
    executor_->Wait(ticket, step.result);
  } catch (...) {
    error = std::current_exception();
  }
  {
    std::lock_guard lock(mutex_);
    step.error = std::move(error);
    step.done = true;
  }
  done_.notify_one();
}

void QueuedExecutor::Run() {
  for (;;) {
    std::function<void()> call;
    {
      std::unique_lock lock(mutex_);
      work_.wait(lock, [&] { return stop_ || !calls_.empty(); });
      if (calls_.empty()) return;
      call = std::move(calls_.front());
      calls_.pop_front();
    }
    try {
      call();
    } catch (...) {
      failure_ = std::current_exception();
    }
  }
}

}  // namespace oxidized
