// What other threads ask of an EngineLoop's thread, in the order in which they asked. Shared by the loop and
// its streams, so that a stream can be given up after its loop has ended. Not seen outside engine/.
//
// Bounded without anybody waiting for room: the number of streams is, a stream has one submit and one cancel
// at most, and who wants a function to be run waits for it.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <variant>
#include <vector>

#include "engine/mailbox.h"

namespace oxidized {
class Engine;
}

namespace oxidized::internal {

struct SubmitCommand {
  std::shared_ptr<Mailbox> mailbox;
  Request request;
};
struct CancelCommand {
  std::shared_ptr<Mailbox> mailbox;
};
struct CallCommand {
  std::function<void(const Engine&)> function;  // does not throw
};
struct Command : std::variant<SubmitCommand, CancelCommand, CallCommand> {
  using variant::variant;
};

class Inbox {
 public:
  // nullptr, and the request is untouched: there are `most_streams` already, or draining().
  std::shared_ptr<Mailbox> Submit(Request& request, std::shared_ptr<StreamWaker> waker, int32_t most_streams);
  // Once for each request, the first time; not of one that ended.
  void Cancel(const std::shared_ptr<Mailbox>& mailbox);
  void Call(std::function<void(const Engine&)> function);

  // No further request. True once all that there were have ended; false: not within the time.
  bool Drain(std::chrono::nanoseconds timeout);
  bool draining() const;
  // The same without waiting, and the loop shall end all of them.
  void Stop();

  // The loop's thread: everything asked for since the last call. Blocks while there is nothing, if `idle`.
  // Returns false once it shall stop.
  bool TakeAll(std::vector<Command>& commands, bool idle);
  void Ended(int64_t requests);  // so many more have their Finished

  const std::shared_ptr<MailboxTotals> totals = std::make_shared<MailboxTotals>();

 private:
  mutable std::mutex mutex_;
  std::condition_variable asked_, drained_;
  std::vector<Command> commands_;
  StreamId next_id_ = 1;
  int64_t open_ = 0;  // requests without a Finished
  bool draining_ = false, stopping_ = false;
};

}  // namespace oxidized::internal
