// The loop on a fake executor: what a stream gives, who is refused, what a reader, a waker or a step that
// fails does to the others. engine_loop_storm_test.cc has many threads at once.
#include "engine/engine_loop.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <ctime>
#include <mutex>
#include <set>
#include <stdexcept>

#include "engine/engine_loop_test_tools.h"
#include "executor/testing/fake_executor.h"

namespace oxidized {
namespace {

using namespace std::chrono_literals;

// Holds the executor in a step until it is let go.
class Gate {
 public:
  void Open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void Pass() {
    std::unique_lock lock(mutex_);
    reached_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
  }
  void AwaitReached() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return reached_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false, reached_ = false;
};

class EngineLoopTest : public testing::Test {
 protected:
  EngineLoop& Start(const EngineLoopOptions& options = {}, const FakeOptions& fake = {}) {
    executor_ = std::make_unique<FakeExecutor>(fake);
    executor_->on_step = [this](int64_t step) { return on_step_ && on_step_(step); };
    loop_ = std::make_unique<EngineLoop>(std::make_unique<Engine>(*executor_), options);
    return *loop_;
  }
  Stream Submit(Request request, std::shared_ptr<StreamWaker> waker = nullptr) {
    auto stream = loop_->Submit(std::move(request), std::move(waker));
    EXPECT_TRUE(stream.has_value());
    return std::move(*stream);
  }

  // Until the loop has let go of what it had to say last.
  void AwaitBetweenSteps() {
    loop_->Call([](const Engine&) {});
  }

  std::function<bool(int64_t)> on_step_;  // set before the first request
  std::unique_ptr<FakeExecutor> executor_;
  std::unique_ptr<EngineLoop> loop_;
};

TEST_F(EngineLoopTest, AStreamGivesWhatTheEngineGives) {
  Start();
  Stream first = Submit(MakeRequest(Prompt(100), 50)), second = Submit(MakeRequest(Prompt(10, 3), 7));
  EXPECT_LT(first.id(), second.id());
  const Answer b = ReadToEnd(second), a = ReadToEnd(first);
  EXPECT_EQ(a.tokens, executor_->Expected(Prompt(100), 50));
  EXPECT_EQ(b.tokens, executor_->Expected(Prompt(10, 3), 7));
  EXPECT_EQ(a.finished[0].reason, StopReason::kLength);
  EXPECT_EQ(a.prefilled, 100);
  EXPECT_FALSE(first.Wait()) << "nothing comes after Finished, and nobody waits for it";
  EXPECT_TRUE(first.Take().empty());
}

TEST_F(EngineLoopTest, TakeAndNextShareTheEvents) {
  Start();
  Stream stream = Submit(MakeRequest(Prompt(5), 20));
  ASSERT_TRUE(loop_->Drain(60s));
  Answer answer;
  for (int i = 0; i < 6; ++i) Collect(answer, *stream.Next());
  for (Event& event : stream.Take()) Collect(answer, std::move(event));
  EXPECT_EQ(answer.tokens, executor_->Expected(Prompt(5), 20));
  EXPECT_EQ(answer.finished.size(), 1u);
}

TEST_F(EngineLoopTest, ProgressThatNobodyReadIsOverwritten) {
  Start();
  Stream stream = Submit(MakeRequest(Prompt(500), 3));  // 8 steps of 64 rows
  ASSERT_TRUE(loop_->Drain(60s));
  const Answer answer = ReadToEnd(stream);
  EXPECT_EQ(answer.progress_events, 1);
  EXPECT_EQ(answer.prefilled, 500);
  EXPECT_EQ(answer.tokens.size(), 3u);
}

TEST_F(EngineLoopTest, RefusalsComeBackInTheCaller) {
  Start({.max_streams = 1}, {.max_context = 64});
  EXPECT_EQ(loop_->Submit(MakeRequest({}, 1)).error().kind, ErrorKind::kUsage);
  EXPECT_EQ(loop_->Submit(MakeRequest(Prompt(64), 1)).error().kind, ErrorKind::kContextFull);
  EXPECT_EQ(loop_->streams(), 0);
  {
    const Stream only = Submit(MakeRequest(Prompt(10), 1));
    EXPECT_EQ(loop_->Submit(MakeRequest(Prompt(10), 1)).error().kind, ErrorKind::kNoMemory);
    ASSERT_TRUE(loop_->Drain(60s));
    EXPECT_EQ(loop_->streams(), 1) << "ended, but still held";
  }
  AwaitBetweenSteps();
  EXPECT_EQ(loop_->streams(), 0);
  EXPECT_EQ(loop_->mailbox_bytes(), 0);
  EXPECT_EQ(loop_->Submit(MakeRequest(Prompt(10), 1)).error().kind, ErrorKind::kRequestFailed);
}

TEST_F(EngineLoopTest, CancelEndsARequestAndLeavesTheOther) {
  Start({}, {.max_context = 4096, .kv_blocks = {300, 24}});
  Stream endless = Submit(MakeRequest(Prompt(10), 4000)), other = Submit(MakeRequest(Prompt(10, 1), 30));
  ASSERT_TRUE(endless.Wait(60s));
  endless.Cancel();
  endless.Cancel();
  const Answer cancelled = ReadToEnd(endless);
  EXPECT_EQ(cancelled.finished[0].reason, StopReason::kCancelled);
  EXPECT_EQ(cancelled.tokens, executor_->Expected(Prompt(10), static_cast<int64_t>(cancelled.tokens.size())));
  EXPECT_EQ(ReadToEnd(other).tokens, executor_->Expected(Prompt(10, 1), 30));
}

TEST_F(EngineLoopTest, DestroyingAStreamCancelsIt) {
  Start({}, {.max_context = 4096, .kv_blocks = {300, 24}});
  {
    const Stream dropped = Submit(MakeRequest(Prompt(10), 4000));
  }
  ASSERT_TRUE(loop_->Drain(60s));
  EXPECT_LT(executor_->steps(), 4000);
  AwaitBetweenSteps();
  EXPECT_EQ(loop_->streams(), 0);
}

// Otherwise an observer on the stack would be called after its function was left by an exception.
TEST_F(EngineLoopTest, AStreamWithAnObserverIsDestroyedWhenTheEngineHasLetGoOfIt) {
  struct Observer final : RoutingObserver {
    void OnRows(const ObservedRows&) override { ++calls; }
    std::atomic<int64_t> calls = 0;
  };
  Gate gate;
  on_step_ = [&](int64_t) {
    gate.Pass();
    return false;
  };
  Start({}, {.max_context = 4096, .kv_blocks = {300, 24}});
  auto observer = std::make_unique<Observer>();
  Request request = MakeRequest(Prompt(10), 4000);
  request.routing_observers.push_back(observer.get());
  std::optional<Stream> stream(Submit(std::move(request)));
  gate.AwaitReached();
  std::atomic<bool> destroyed = false;
  std::thread reader([&] {
    stream.reset();
    destroyed = true;
    observer.reset();
  });
  std::this_thread::sleep_for(20ms);
  EXPECT_FALSE(destroyed) << "the step that will call the observer still runs";
  gate.Open();
  reader.join();
  EXPECT_TRUE(loop_->Drain(60s));
}

TEST_F(EngineLoopTest, StreamsOutliveTheLoop) {
  Gate gate;
  on_step_ = [&](int64_t) {
    gate.Pass();
    std::this_thread::sleep_for(1ms);  // seconds until they would end by themselves
    return false;
  };
  Start({}, {.max_context = 4096, .kv_blocks = {300, 24}});
  Stream running = Submit(MakeRequest(Prompt(10), 4000));
  gate.AwaitReached();
  Stream waiting = Submit(MakeRequest(Prompt(10), 4000));
  std::thread ending([this] { loop_.reset(); });
  gate.Open();
  ending.join();
  for (Stream* stream : {&running, &waiting}) {
    const Answer answer = ReadToEnd(*stream);
    EXPECT_EQ(answer.finished[0].reason, StopReason::kCancelled);
  }
}

TEST_F(EngineLoopTest, AFailingStepEndsItsRequestsAndNotTheThread) {
  on_step_ = [](int64_t step) -> bool {
    if (step == 2) throw std::runtime_error("device lost");
    return false;
  };
  Start();
  Stream failing = Submit(MakeRequest(Prompt(10), 10));
  const Answer answer = ReadToEnd(failing);
  EXPECT_EQ(answer.finished[0].reason, StopReason::kError);
  EXPECT_EQ(answer.finished[0].error->message, "device lost");
  Stream next = Submit(MakeRequest(Prompt(10), 10));
  EXPECT_EQ(ReadToEnd(next).tokens, executor_->Expected(Prompt(10), 10));
}

// Whatever leaves Engine::Step, also from outside the executor: here the action between steps.
TEST_F(EngineLoopTest, AnExceptionOutOfTheEngineEndsEveryRequestAndNotTheThread) {
  executor_ = std::make_unique<FakeExecutor>(FakeOptions{});
  auto engine = std::make_unique<Engine>(*executor_);
  int64_t steps = 0;
  engine->AfterSteps(1, [&steps] {
    if (++steps == 3) throw std::runtime_error("no room");
  });
  loop_ = std::make_unique<EngineLoop>(std::move(engine));
  Stream first = Submit(MakeRequest(Prompt(10), 40));
  const Answer answer = ReadToEnd(first);
  EXPECT_EQ(answer.finished[0].reason, StopReason::kError);
  EXPECT_EQ(answer.finished[0].error->message, "no room");
  EXPECT_EQ(answer.tokens, executor_->Expected(Prompt(10), 3)) << "tokens of that step are not lost";
  Stream next = Submit(MakeRequest(Prompt(10), 10));
  EXPECT_EQ(ReadToEnd(next).tokens, executor_->Expected(Prompt(10), 10));
  EXPECT_TRUE(loop_->Call([](const Engine& e) { return e.Intact(); }));
}

TEST_F(EngineLoopTest, CallRunsBetweenStepsAndReturnsOrThrows) {
  Start();
  Stream stream = Submit(MakeRequest(Prompt(10), 30));
  ReadToEnd(stream);
  EXPECT_EQ(loop_->Call([](const Engine& e) { return e.decode_totals().rows; }), 29);
  EXPECT_THROW(loop_->Call([](const Engine&) { throw std::runtime_error("mine"); }), std::runtime_error);
  EXPECT_NE(loop_->Call([](const Engine&) { return std::this_thread::get_id(); }),
            std::this_thread::get_id());
}

TEST_F(EngineLoopTest, DrainWaitsForWhatRunsAndGivesUpInTime) {
  Gate gate;
  on_step_ = [&](int64_t) {
    gate.Pass();
    return false;
  };
  Start();
  Stream stream = Submit(MakeRequest(Prompt(10), 30));
  gate.AwaitReached();
  EXPECT_FALSE(loop_->Drain(1ms));
  EXPECT_FALSE(loop_->Submit(MakeRequest(Prompt(10), 1)).has_value());
  gate.Open();
  EXPECT_TRUE(loop_->Drain(60s));
  EXPECT_EQ(ReadToEnd(stream).tokens.size(), 30u);
}

// Takes what it is told of, as a server's thread would, and counts the calls.
class Reader final : public StreamWaker {
 public:
  void Wake(std::span<const StreamId> ids) override {
    const std::lock_guard lock(mutex_);
    ++calls_;
    EXPECT_EQ(std::set<StreamId>(ids.begin(), ids.end()).size(), ids.size());
    ready_.insert(ready_.end(), ids.begin(), ids.end());
    if (take_) take_(ids);
    changed_.notify_all();
  }
  std::vector<StreamId> Await() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, 60s, [this] { return !ready_.empty(); });
    return std::exchange(ready_, {});
  }
  int64_t calls() {
    const std::lock_guard lock(mutex_);
    return calls_;
  }
  std::function<void(std::span<const StreamId>)> take_;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int64_t calls_ = 0;
  std::vector<StreamId> ready_;
};

TEST_F(EngineLoopTest, AWakerIsToldOnceAStepOfAllItsStreams) {
  Gate gate;
  on_step_ = [&](int64_t) {
    gate.Pass();
    return false;
  };
  Start();
  const auto reader = std::make_shared<Reader>();
  std::map<StreamId, Stream> streams;
  std::map<StreamId, Answer> answers;
  reader->take_ = [&](std::span<const StreamId> ids) {  // at once: so each step is told of
    for (const StreamId id : ids) {
      for (Event& event : streams.at(id).Take()) Collect(answers[id], std::move(event));
    }
  };
  for (int32_t i = 0; i < 4; ++i) {
    Stream stream = Submit(MakeRequest(Prompt(16, i), 40), reader);
    streams.emplace(stream.id(), std::move(stream));
  }
  gate.Open();
  ASSERT_TRUE(loop_->Drain(60s));
  EXPECT_EQ(loop_->Call([](const Engine&) { return 0; }), 0);  // the last call of the waker is over
  EXPECT_EQ(reader->calls(), executor_->steps());
  EXPECT_LE(executor_->steps(), 44);
  for (const auto& [id, answer] : answers) EXPECT_EQ(answer.tokens.size(), 40u);
  EXPECT_EQ(answers.size(), 4u);
}

TEST_F(EngineLoopTest, WhoDoesNotTakeIsToldOnce) {
  Start();
  const auto reader = std::make_shared<Reader>();
  Stream stream = Submit(MakeRequest(Prompt(10), 200), reader);
  ASSERT_TRUE(loop_->Drain(60s));
  loop_->Call([](const Engine&) {});
  EXPECT_EQ(reader->calls(), 1);
  EXPECT_EQ(ReadToEnd(stream).tokens.size(), 200u);
}

TEST_F(EngineLoopTest, AWakerThatThrowsLosesItsStreamsAlone) {
  Start({}, {.max_context = 4096, .kv_blocks = {300, 24}});
  struct Throwing final : StreamWaker {
    void Wake(std::span<const StreamId>) override {
      ++calls;
      throw std::runtime_error("reader is gone");
    }
    std::atomic<int64_t> calls = 0;
  };
  const auto throwing = std::make_shared<Throwing>();
  Stream lost = Submit(MakeRequest(Prompt(10), 4000), throwing);
  Stream lost_too = Submit(MakeRequest(Prompt(300, 1), 4000), throwing);
  Stream other = Submit(MakeRequest(Prompt(10, 2), 200));
  EXPECT_EQ(ReadToEnd(other).tokens, executor_->Expected(Prompt(10, 2), 200));
  for (Stream* stream : {&lost, &lost_too}) {
    const Answer answer = ReadToEnd(*stream);
    EXPECT_EQ(answer.finished[0].reason, StopReason::kCancelled);
  }
  EXPECT_LE(throwing->calls, 2);
}

double ThreadCpuSeconds(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

TEST_F(EngineLoopTest, AnIdleLoopSleeps) {
  Start();
  Stream stream = Submit(MakeRequest(Prompt(10), 30));  // idle after work, not only before
  ReadToEnd(stream);
  clockid_t clock{};
  loop_->Call([&](const Engine&) { ASSERT_EQ(pthread_getcpuclockid(pthread_self(), &clock), 0); });
  const double before = ThreadCpuSeconds(clock);
  std::this_thread::sleep_for(300ms);
  EXPECT_LT(ThreadCpuSeconds(clock) - before, 0.03) << "a loop that spins takes all of it";
}

}  // namespace
}  // namespace oxidized
