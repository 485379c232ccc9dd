// Where the events of one request wait for their reader: filled by EngineLoop's thread, emptied by a Stream.
// Not a queue of the engine's own, and not seen outside engine/.
//
// Nothing is dropped and nobody waits for a reader. Memory stays bounded all the same: a request has at most
// one GeneratedToken for each of max_new_tokens, one PromptScore for each prompt token, one PrefillProgress
// beside each of these (a newer one takes the place of an unread one), and one Finished.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "engine/request.h"
#include "engine/stream.h"

namespace oxidized::internal {

// What all mailboxes of a loop hold; outlives the loop while streams do.
struct MailboxTotals {
  std::atomic<int32_t> streams = 0;  // mailboxes that exist
  std::atomic<int64_t> bytes = 0;    // of events not taken
};

class Mailbox {
 public:
  Mailbox(StreamId id, const Request& request, std::shared_ptr<StreamWaker> waker,
          std::shared_ptr<MailboxTotals> totals);
  ~Mailbox();
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  // The loop's side. A step's events of the request, together; true: the reader had nothing, now has
  // something and was not told so yet. A Finished must be the last of all. Leaves `events` empty.
  bool Put(std::vector<Event>& events);
  bool End(Finished finished);  // the same of Finished alone; allocates nothing

  // The reader's side.
  void Take(std::vector<Event>& events);        // in place of what is in there
  bool Wait(std::chrono::nanoseconds timeout);  // false: there is nothing to take
  void Abandon();                               // no reader any more: what is there and what comes is dropped
  void AwaitEnd();                              // until Finished was put
  bool ended() const;                           // Finished was put

  const StreamId id;
  const bool borrows;                        // the request points at sinks or observers of somebody
  const std::shared_ptr<StreamWaker> waker;  // may be null
  bool cancel_asked = false;                 // under the inbox's lock
  // The loop's thread alone:
  RequestId request = 0;      // 0: not with the engine
  bool waker_failed = false;  // it threw, and is not called again

 private:
  bool empty() const { return events_.empty() && !end_; }
  void SetEnd(Finished finished);
  bool Arrived(bool was_empty);
  void Count();

  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<Event> events_;
  std::optional<Finished> end_;  // apart, so that ending a request never needs memory
  bool ended_ = false, abandoned_ = false;
  int64_t payload_bytes_ = 0;  // of events_, what they point to
  int64_t counted_bytes_ = 0;  // what totals_ has of this
  const std::shared_ptr<MailboxTotals> totals_;
};

// Blocks until `done()` or the time is over; kForever: without end. Returns done().
template <typename Done>
bool WaitFor(std::condition_variable& condition, std::unique_lock<std::mutex>& lock,
             std::chrono::nanoseconds timeout, Done done) {
  if (timeout != kForever) return condition.wait_for(lock, timeout, done);
  condition.wait(lock, done);
  return true;
}

}  // namespace oxidized::internal
