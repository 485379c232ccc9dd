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
}

StreamId Stream::id() const { return mailbox_->id; }

void Stream::Fetch() {
  fetched_ = mailbox_->Take();
  next_ = 0;
  if (!fetched_.empty() && std::holds_alternative<Finished>(fetched_.back())) finished_ = true;
}

std::vector<Event> Stream::Take() {
  if (next_ == fetched_.size()) {
    Fetch();
    return std::exchange(fetched_, {});
  }
  std::vector<Event> rest(std::make_move_iterator(fetched_.begin() + static_cast<ptrdiff_t>(next_)),
                          std::make_move_iterator(fetched_.end()));
  Fetch();
  rest.insert(rest.end(), std::make_move_iterator(fetched_.begin()), std::make_move_iterator(fetched_.end()));
  fetched_.clear();
  return rest;
}

bool Stream::Wait(std::chrono::nanoseconds timeout) {
  return next_ < fetched_.size() || mailbox_->Wait(timeout);
}

std::optional<Event> Stream::Next(std::chrono::nanoseconds timeout) {
  if (next_ == fetched_.size()) {
    if (!mailbox_->Wait(timeout)) return std::nullopt;
    Fetch();
  }
  return std::move(fetched_[next_++]);
}

void Stream::Cancel() { inbox_->Cancel(mailbox_); }

}  // namespace oxidized
