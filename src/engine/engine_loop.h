// One thread that owns an engine and keeps it busy; other threads submit requests, read what comes out of
// their Streams and cancel. It sleeps while there is nothing to do. Everything that generates is its client:
// one answer, the chat, scoring, measuring, a server.
//
// What runs on the loop's thread, and therefore must not block nor wait for a stream: the requests'
// controllers, routing observers, logits and tap sinks, all wakers, and the functions given to Call. After
// the Finished of a request is in its mailbox none of its own are called any more: who has taken Finished may
// use them without a lock. (A mask that a controller gave may still be read: it dies with the controller.)
#pragma once

#include <chrono>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <tl/expected.hpp>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "engine/stream.h"

namespace oxidized {

struct EngineLoopOptions {
  // Streams that exist at a time, ended ones whose handle or events are still held included: what bounds the
  // memory of readers that never read.
  int32_t max_streams = 4096;
};

class EngineLoop {
 public:
  // The executor must outlive the loop. Throws Error(kNoMemory) where no thread can be started.
  explicit EngineLoop(std::unique_ptr<Engine> engine, const EngineLoopOptions& options = {});
  // Cancels what still runs: every stream gets its Finished.
  ~EngineLoop();
  EngineLoop(const EngineLoop&) = delete;
  EngineLoop& operator=(const EngineLoop&) = delete;

  // From any thread; never blocks. Refused here, and nothing else is touched: what Engine::Refusal refuses;
  // more streams than there may be (kNoMemory); anything after Drain (kRequestFailed). `waker`, which many
  // streams may share, is told when there is something to take; null: nobody.
  tl::expected<Stream, RequestError> Submit(Request request, std::shared_ptr<StreamWaker> waker = nullptr);

  // Takes no request from now on, and returns once all before have ended. False: not within the time; they
  // go on. Not from the loop's thread.
  bool Drain(std::chrono::nanoseconds timeout = kForever);

  // Runs `function(const Engine&)` on the loop's thread between two steps, waits for it and returns what it
  // returns or throws: how totals and pools are read while the engine works. Not from the loop's thread.
  template <typename Function>
  auto Call(Function&& function) const {
    using Result = std::invoke_result_t<Function&, const Engine&>;
    // Shared: it still touches itself when the result is already here.
    const auto task = std::make_shared<std::packaged_task<Result(const Engine&)>>(std::ref(function));
    std::future<Result> result = task->get_future();
    Post([task](const Engine& engine) { (*task)(engine); });
    return result.get();
  }

  const ExecutorInfo& info() const { return engine_->info(); }  // never changes
  int32_t streams() const;                                      // that exist
  int64_t mailbox_bytes() const;                                // events that nobody took, in all of them

 private:
  using Mailbox = internal::Mailbox;

  void Post(std::function<void(const Engine&)> function) const;
  void Run();
  template <typename Action>
  void Guarded(Action&& action);
  void CarryOut(internal::Command& command);
  void Begin(std::shared_ptr<Mailbox> mailbox, Request request);
  void Deliver();
  void Wake();
  void DropStreamsOf(const StreamWaker& waker);
  void EndAll(const std::string& why);

  const EngineLoopOptions options_;
  const std::shared_ptr<internal::Inbox> inbox_;
  const std::unique_ptr<Engine> engine_;
  // The loop's thread alone:
  std::map<RequestId, std::shared_ptr<Mailbox>> live_;  // requests that the engine has
  std::vector<Event> events_;                           // of one request, between engine and mailbox
  std::vector<std::shared_ptr<Mailbox>> woken_;         // whose readers are to be told
  std::vector<std::shared_ptr<Mailbox>> waking_;        // those that are being told
  std::vector<StreamId> woken_ids_;
  bool busy_ = false;  // the engine has work
  std::jthread thread_;
};

}  // namespace oxidized
