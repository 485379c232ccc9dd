#include "engine/mailbox.h"

#include <utility>

namespace oxidized::internal {
namespace {

int64_t PayloadBytes(const Event& event) {
  const auto* token = std::get_if<GeneratedToken>(&event);
  return token == nullptr ? 0 : static_cast<int64_t>(token->top.capacity() * sizeof(TokenLogprob));
}

}  // namespace

Mailbox::Mailbox(StreamId stream, const Request& of, std::shared_ptr<StreamWaker> woken,
                 std::shared_ptr<MailboxTotals> totals)
    : id(stream),
      borrows(of.logits != nullptr || of.taps != nullptr || !of.routing_observers.empty()),
      waker(std::move(woken)),
      totals_(std::move(totals)) {
  ++totals_->streams;
}

Mailbox::~Mailbox() {
  totals_->bytes -= counted_bytes_;
  --totals_->streams;
}

bool Mailbox::Put(std::vector<Event>& events) {
  std::unique_lock lock(mutex_);
  const bool was_empty = empty();
  for (Event& event : events) {
    OX_CHECK(!ended_);
    if (auto* finished = std::get_if<Finished>(&event)) {
      SetEnd(std::move(*finished));
    } else if (abandoned_) {
      continue;
    } else if (std::holds_alternative<PrefillProgress>(event) && !events_.empty() &&
               std::holds_alternative<PrefillProgress>(events_.back())) {
      events_.back() = event;
    } else {
      payload_bytes_ += PayloadBytes(event);
      events_.push_back(std::move(event));
    }
  }
  events.clear();
  Count();
  return Arrived(was_empty);
}

bool Mailbox::End(Finished finished) {
  std::unique_lock lock(mutex_);
  if (ended_) return false;
  const bool was_empty = empty();
  SetEnd(std::move(finished));
  return Arrived(was_empty);
}

void Mailbox::SetEnd(Finished finished) {
  ended_ = true;
  if (!abandoned_) end_ = std::move(finished);
}

bool Mailbox::Arrived(bool was_empty) {
  const bool news = was_empty && !empty();
  if (news || (abandoned_ && ended_)) arrived_.notify_all();
  return news;
}

void Mailbox::Take(std::vector<Event>& events) {
  events.clear();
  std::unique_lock lock(mutex_);
  if (end_) {
    events_.emplace_back(std::move(*end_));
    end_.reset();
  }
  payload_bytes_ = 0;
  events_.swap(events);
  Count();
}

bool Mailbox::Wait(std::chrono::nanoseconds timeout) {
  std::unique_lock lock(mutex_);
  return WaitFor(arrived_, lock, timeout, [this] { return !empty() || ended_; }) && !empty();
}

void Mailbox::Abandon() {
  std::vector<Event> dropped;
  std::unique_lock lock(mutex_);
  abandoned_ = true;
  dropped.swap(events_);
  end_.reset();
  payload_bytes_ = 0;
  Count();
  lock.unlock();  // and only then are they freed
}

void Mailbox::AwaitEnd() {
  std::unique_lock lock(mutex_);
  arrived_.wait(lock, [this] { return ended_; });
}

bool Mailbox::ended() const {
  std::unique_lock lock(mutex_);
  return ended_;
}

void Mailbox::Count() {
  const int64_t now = static_cast<int64_t>(events_.capacity() * sizeof(Event)) + payload_bytes_;
  totals_->bytes += now - counted_bytes_;
  counted_bytes_ = now;
}

}  // namespace oxidized::internal
