// The answer to one request of an EngineLoop, as it comes: events in order, Finished last. Any thread may
// hold one; it is not a queue that a slow reader could fill up: see mailbox.h for why its memory is bounded.
//
// Three ways to wait for events: Wait or Next blocks this thread; a StreamWaker tells a reader of many
// streams (an event loop, a coroutine, another language's runtime) which of them have something to Take.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/request.h"

namespace oxidized {

namespace internal {
class Mailbox;
class Inbox;
struct Command;
}  // namespace internal

using StreamId = uint64_t;  // of a loop, in the order of Submit; never given twice

inline constexpr std::chrono::nanoseconds kForever = std::chrono::nanoseconds::max();

// Called on the engine's thread once a step at most, after all of the step's events are in their mailboxes,
// with those of its streams that had nothing to take and now have. They are not named again before their next
// Take. It must not block, nor wait for a stream; it may submit and cancel. One that throws is not called
// again, and its streams are cancelled; their events can still be taken.
class StreamWaker {
 public:
  virtual ~StreamWaker() = default;
  virtual void Wake(std::span<const StreamId> ids) = 0;
};

// For one reader at a time, except Cancel. May outlive its loop, which ends all requests when it ends.
class Stream {
 public:
  Stream(std::shared_ptr<internal::Mailbox> mailbox, std::shared_ptr<internal::Inbox> inbox);
  Stream(Stream&&) noexcept = default;
  Stream& operator=(Stream&& other) noexcept;
  // Cancels the request, if it still runs, and drops its events. Of a request with sinks or observers it
  // waits until the engine has let go of them: a step at most, and not from the loop's thread.
  ~Stream();

  StreamId id() const;
  // All events since the last call, possibly none. Never blocks.
  std::vector<Event> Take();
  void Take(std::vector<Event>& events);  // in place of what is in there, whose memory is used again
  // Blocks until there are events to take. False: the time is over, or Finished was taken.
  bool Wait(std::chrono::nanoseconds timeout = kForever);
  // The next event, one at a time; nullopt: as Wait's false. Events that Next has not given yet, Take gives.
  std::optional<Event> Next(std::chrono::nanoseconds timeout = kForever);
  // Ends the request at the next step boundary; Finished says kCancelled, unless it ended by itself before.
  // From any thread; returns at once.
  void Cancel();
  bool finished() const { return finished_; }  // Finished was taken

 private:
  void Fetch(std::vector<Event>& events);

  std::shared_ptr<internal::Mailbox> mailbox_;  // null: moved from
  std::shared_ptr<internal::Inbox> inbox_;
  std::vector<Event> fetched_;  // for Next; those before next_ were given
  size_t next_ = 0;
  bool finished_ = false;
};

}  // namespace oxidized
