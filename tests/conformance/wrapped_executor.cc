#include "conformance/wrapped_executor.h"

#include "base/error.h"

namespace oxidized::conformance {

ChangedBatch::ChangedBatch(const StepBatch& given)
    : token_ids(given.token_ids.begin(), given.token_ids.end()),
      slot(given.slot.begin(), given.slot.end()),
      policy(given.policy.begin(), given.policy.end()),
      positions(given.positions.begin(), given.positions.end()),
      policies(given.policies.begin(), given.policies.end()),
      samples(given.samples.begin(), given.samples.end()),
      params(given.samples.size()),
      batch(given) {
  for (size_t i = 0; i < samples.size(); ++i) {
    if (samples[i].params == nullptr) continue;
    params[i] = *samples[i].params;
    samples[i].params = &params[i];
  }
  batch.token_ids = token_ids;
  batch.slot = slot;
  batch.policy = policy;
  batch.positions = positions;
  batch.policies = policies;
  batch.samples = samples;
}

WrappedExecutor::WrappedExecutor(std::unique_ptr<Executor> executor, Hooks hooks)
    : executor_(std::move(executor)), hooks_(std::move(hooks)), info_(executor_->Info()) {
  if (hooks_.info) hooks_.info(info_);
}

StepTicket WrappedExecutor::Submit(const StepBatch& batch) {
  Flying step{.given = batch, .changed = std::make_unique<ChangedBatch>(batch), .fails = fail_next};
  fail_next = false;
  if (hooks_.before) hooks_.before(*step.changed);
  const StepTicket ticket = executor_->Submit(step.changed->batch);
  flying_.push_back(std::move(step));
  return ticket;
}

void WrappedExecutor::Wait(StepTicket ticket, StepResult& result) {
  const Flying step = std::move(flying_.front());
  flying_.pop_front();
  const StepResult given = result;
  executor_->Wait(ticket, result);
  if (step.fails) Fail(ErrorKind::kRequestFailed, "planted: the step failed");
  if (hooks_.after) hooks_.after(step.given, given, result);
}

void WrappedExecutor::GiveMasks(StepTicket ticket, std::span<const TokenMask* const> masks) {
  late_masks_.assign(masks.begin(), masks.end());
  if (hooks_.late_masks) late_masks_ = hooks_.late_masks(masks);
  executor_->GiveMasks(ticket, late_masks_);
}

void WrappedExecutor::ResetSlot(int32_t slot, std::span<const int32_t> reused) {
  hooks_.reset ? hooks_.reset(*executor_, slot, reused) : executor_->ResetSlot(slot, reused);
}

void WrappedExecutor::CopyBlocks(std::span<const BlockCopy> copies) {
  hooks_.copy ? hooks_.copy(*executor_, copies) : executor_->CopyBlocks(copies);
}

}  // namespace oxidized::conformance
