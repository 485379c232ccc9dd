#include "engine/inbox.h"

#include <utility>

namespace oxidized::internal {

std::shared_ptr<Mailbox> Inbox::Submit(Request& request, std::shared_ptr<StreamWaker> waker,
                                       int32_t most_streams) {
  std::shared_ptr<Mailbox> mailbox;  // if it is not to be, it ends after the lock
  std::unique_lock lock(mutex_);
  if (draining_ || totals->streams >= most_streams) return nullptr;
  mailbox = std::make_shared<Mailbox>(next_id_, request, std::move(waker), totals);
  commands_.emplace_back(SubmitCommand{mailbox, std::move(request)});
  ++next_id_;
  ++open_;
  lock.unlock();
  asked_.notify_one();
  return mailbox;
}

void Inbox::Cancel(const std::shared_ptr<Mailbox>& mailbox) {
  if (mailbox->ended()) return;
  std::unique_lock lock(mutex_);
  if (stopping_ || std::exchange(mailbox->cancel_asked, true)) return;
  commands_.emplace_back(CancelCommand{mailbox});
  lock.unlock();
  asked_.notify_one();
}

void Inbox::Call(std::function<void(const Engine&)> function) {
  std::unique_lock lock(mutex_);
  OX_CHECK(!stopping_);
  commands_.emplace_back(CallCommand{std::move(function)});
  lock.unlock();
  asked_.notify_one();
}

bool Inbox::Drain(std::chrono::nanoseconds timeout) {
  std::unique_lock lock(mutex_);
  draining_ = true;
  return WaitFor(drained_, lock, timeout, [this] { return open_ == 0; });
}

bool Inbox::draining() const {
  std::unique_lock lock(mutex_);
  return draining_;
}

void Inbox::Stop() {
  std::unique_lock lock(mutex_);
  draining_ = stopping_ = true;
  lock.unlock();
  asked_.notify_one();
}

bool Inbox::TakeAll(std::vector<Command>& commands, bool idle) {
  commands.clear();
  std::unique_lock lock(mutex_);
  if (idle) asked_.wait(lock, [this] { return !commands_.empty() || stopping_; });
  commands.swap(commands_);
  return !stopping_;
}

void Inbox::Ended(int64_t requests) {
  std::unique_lock lock(mutex_);
  open_ -= requests;
  if (open_ == 0) drained_.notify_all();
}

}  // namespace oxidized::internal
