#include "engine/stream.h"

#include <iterator>
#include <utility>

#include "engine/inbox.h"

namespace oxidized {

Stream::Stream(std::shared_ptr<internal::Mailbox> mailbox, std::shared_ptr<internal::Inbox> inbox)
    : mailbox_(std::move(mailbox)), inbox_(std::move(inbox)) {}

Stream& Stream::operator=(Stream&& other) noexcept {
  Stream ended(std::move(*this));
  mailbox_ = std::move(other.mailbox_);
  inbox_ = std::move(other.inbox_);
  fetched_ = std::move(other.fetched_);
  next_ = other.next_;
  finished_ = other.finished_;
  return *this;
}

Stream::~Stream() {
  if (mailbox_ == nullptr) return;
  mailbox_->Abandon();
  Cancel();
  if (mailbox_->borrows) mailbox_->AwaitEnd();
}

StreamId Stream::id() const { return mailbox_->id; }

void Stream::Fetch(std::vector<Event>& events) {
  mailbox_->Take(events);
  if (!events.empty() && std::holds_alternative<Finished>(events.back())) finished_ = true;
}

std::vector<Event> Stream::Take() {
  std::vector<Event> events;
  Take(events);
  return events;
}

void Stream::Take(std::vector<Event>& events) {
  Fetch(events);
  if (next_ == fetched_.size()) return;
  fetched_.erase(fetched_.begin(), fetched_.begin() + static_cast<ptrdiff_t>(std::exchange(next_, 0)));
  fetched_.insert(fetched_.end(), std::make_move_iterator(events.begin()),
                  std::make_move_iterator(events.end()));
  events = std::exchange(fetched_, {});
}

bool Stream::Wait(std::chrono::nanoseconds timeout) {
  return next_ < fetched_.size() || mailbox_->Wait(timeout);
}

std::optional<Event> Stream::Next(std::chrono::nanoseconds timeout) {
  if (next_ == fetched_.size()) {
    if (!mailbox_->Wait(timeout)) return std::nullopt;
    Fetch(fetched_);
    next_ = 0;
  }
  return std::move(fetched_[next_++]);
}

void Stream::Cancel() { inbox_->Cancel(mailbox_); }

}  // namespace oxidized
