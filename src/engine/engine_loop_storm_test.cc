// Many threads at one loop: random submits, cancels, calls and drains, readers that never read, wakers that
// throw, steps that fail. Nothing may be lost, said twice or left behind, and memory stays within what the
// number of streams allows. Meant for the sanitizers: `./build.sh test tsan`, `asan`.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <random>
#include <stdexcept>

#include "engine/engine_loop.h"
#include "engine/engine_loop_test_tools.h"
#include "executor/testing/fake_executor.h"
#include "executor/testing/queued_executor.h"

namespace oxidized {
namespace {

using namespace std::chrono_literals;

constexpr int32_t kSubmitters = 4, kRequestsEach = 500, kMostStreams = 96;
constexpr int64_t kMostNewTokens = 40, kMostPromptTokens = 90;

// A stream's events as mailbox.h counts them: a progress beside each token, and a vector that grew to twice
// of what is in it.
constexpr int64_t kMostMailboxBytes = 2 * (2 * kMostNewTokens + 2) * static_cast<int64_t>(sizeof(Event));

// Takes what it is told of on the loop's own thread; every so often it throws instead.
class Taker final : public StreamWaker {
 public:
  explicit Taker(int32_t calls_until_throw) : calls_left_(calls_until_throw) {}

  void Wake(std::span<const StreamId> ids) override {
    if (--calls_left_ == 0) throw std::runtime_error("planted");
    const std::lock_guard lock(mutex_);
    for (const StreamId id : ids) {
      const auto entry = entries_.find(id);
      if (entry == entries_.end()) continue;  // not here yet: Add takes what there is
      if (TakeInto(entry->second)) Remove(entry);
    }
  }
  void Add(Stream stream, std::vector<int32_t> prompt) {
    const std::lock_guard lock(mutex_);
    const StreamId id = stream.id();
    const auto entry = entries_.emplace(id, Entry{std::move(stream), std::move(prompt), {}}).first;
    if (TakeInto(entry->second)) Remove(entry);
  }
  struct Entry {
    Stream stream;
    std::vector<int32_t> prompt;
    Answer answer;
  };
  // Once the loop has nothing more to say: what came of all streams.
  std::vector<std::pair<std::vector<int32_t>, Answer>> TakeAll() {
    while (!entries_.empty()) {
      EXPECT_TRUE(TakeInto(entries_.begin()->second)) << "a stream without its end";
      Remove(entries_.begin());
    }
    return std::move(ended_);
  }

 private:
  static bool TakeInto(Entry& entry) {
    for (Event& event : entry.stream.Take()) Collect(entry.answer, std::move(event));
    return entry.stream.finished();
  }
  void Remove(std::map<StreamId, Entry>::iterator entry) {
    ended_.emplace_back(std::move(entry->second.prompt), std::move(entry->second.answer));
    entries_.erase(entry);
  }

  int32_t calls_left_;
  std::mutex mutex_;
  std::map<StreamId, Entry> entries_;
  std::vector<std::pair<std::vector<int32_t>, Answer>> ended_;
};

struct Tally {
  std::atomic<int64_t> submitted = 0, refused = 0, read = 0, dropped = 0;
  std::atomic<int64_t> reasons[6] = {};
};

void Check(const FakeExecutor& executor, const std::vector<int32_t>& prompt, const Answer& answer,
           Tally& tally) {
  ASSERT_EQ(answer.finished.size(), 1u);
  ASSERT_EQ(answer.tokens, executor.Expected(prompt, static_cast<int64_t>(answer.tokens.size())));
  ASSERT_EQ(answer.finished[0].stats.generated_tokens, static_cast<int64_t>(answer.tokens.size()));
  ++tally.reasons[static_cast<size_t>(answer.finished[0].reason)];
  ++tally.read;
}

// One thread's share: each stream is read to its end, taken by a waker, dropped, or kept unread to the last.
void Submitter(EngineLoop& loop, const FakeExecutor& executor, uint32_t seed, Tally& tally,
               std::vector<std::pair<Stream, std::vector<int32_t>>>& unread,
               std::vector<std::shared_ptr<Taker>>& takers) {
  std::mt19937 random(seed);
  const auto draw = [&](int32_t low, int32_t high) {
    return std::uniform_int_distribution<int32_t>(low, high)(random);
  };
  takers = {std::make_shared<Taker>(1 << 30), std::make_shared<Taker>(draw(1, 40))};
  for (int32_t i = 0; i < kRequestsEach; ++i) {
    auto prompt = Prompt(static_cast<size_t>(draw(1, kMostPromptTokens)), draw(0, 5));
    Request request = MakeRequest(prompt, draw(0, kMostNewTokens));
    request.priority = draw(0, 1);
    const int32_t kind = draw(0, 9);
    std::shared_ptr<Taker> taker = kind < 3 ? takers[kind == 0 ? 1 : 0] : nullptr;
    auto stream = loop.Submit(std::move(request), taker);
    if (!stream) {
      ++tally.refused;
      std::this_thread::yield();
      continue;
    }
    ++tally.submitted;
    if (draw(0, 4) == 0) stream->Cancel();
    if (taker != nullptr) {
      taker->Add(std::move(*stream), std::move(prompt));
    } else if (kind < 6) {
      Answer answer;
      while (auto event = stream->Next(60s)) {
        Collect(answer, std::move(*event));
        if (draw(0, 99) == 0) stream->Cancel();
      }
      Check(executor, prompt, answer, tally);
    } else if (kind < 8 && std::ssize(unread) < 12) {
      unread.emplace_back(std::move(*stream), std::move(prompt));
    } else {
      if (draw(0, 1) == 0) stream->Wait(std::chrono::microseconds(draw(0, 300)));
      ++tally.dropped;
    }
  }
}

// Executors of one step at a time and of two, as soon as they can, as late as they may, on their own thread.
struct Device {
  FakeExecutor* fake;
  std::unique_ptr<Executor> executor;
};
Device MakeDevice(uint32_t kind) {
  FakeOptions options{.max_sequences = 6, .kv_blocks = {30, 40}};
  options.steps_in_flight = kind == 0 || kind == 2 ? 1 : 2;
  options.late_masks = kind != 0;
  options.lazy = kind == 1;
  auto fake = std::make_unique<FakeExecutor>(options);
  FakeExecutor* seen = fake.get();
  if (kind != 2) return {seen, std::move(fake)};
  return {seen, std::make_unique<QueuedExecutor>(std::move(fake))};
}

TEST(EngineLoopStorm, LosesNothingAndStaysInItsMemory) {
  for (uint32_t round = 0; round < 4; ++round) {
    const Device device = MakeDevice(round);
    const FakeExecutor& executor = *device.fake;
    std::mt19937 failing(round);
    device.fake->on_step = [&](int64_t) -> bool {
      const auto drawn = failing() % 400;
      if (drawn == 0) throw std::runtime_error("planted");
      return drawn == 1;
    };
    auto engine = std::make_unique<Engine>(*device.executor, EngineOptions{.chunk_tokens = 16});
    engine->AfterSteps(500, [] { throw std::runtime_error("planted between steps"); });
    auto loop =
        std::make_unique<EngineLoop>(std::move(engine), EngineLoopOptions{.max_streams = kMostStreams});

    Tally tally;
    std::vector<std::vector<std::pair<Stream, std::vector<int32_t>>>> unread(kSubmitters);
    std::vector<std::vector<std::shared_ptr<Taker>>> takers(kSubmitters);
    std::atomic<bool> over = false;
    std::atomic<int64_t> most_bytes = 0, most_streams = 0;
    std::thread watcher([&] {
      while (!over) {
        most_bytes = std::max<int64_t>(most_bytes, loop->mailbox_bytes());
        most_streams = std::max<int64_t>(most_streams, loop->streams());
        ASSERT_TRUE(loop->Call([](const Engine& e) { return e.Intact(); }));
        std::this_thread::sleep_for(100us);
      }
    });
    std::vector<std::thread> submitters;
    for (uint32_t s = 0; s < kSubmitters; ++s) {
      submitters.emplace_back(
          [&, s] { Submitter(*loop, executor, round * 100 + s, tally, unread[s], takers[s]); });
    }
    if (round == 3) {  // in the middle of it
      while (tally.submitted + tally.refused < kSubmitters * kRequestsEach / 4)
        std::this_thread::sleep_for(1ms);
      EXPECT_TRUE(loop->Drain(60s));
    }
    for (std::thread& submitter : submitters) submitter.join();
    ASSERT_TRUE(loop->Drain(60s));
    EXPECT_EQ(loop->Submit(MakeRequest(Prompt(3), 1)).error().kind, ErrorKind::kRequestFailed);
    EXPECT_TRUE(loop->Call([](const Engine& e) { return e.Intact(); }));
    over = true;
    watcher.join();

    for (auto& streams : unread) {
      for (auto& [stream, prompt] : streams) Check(executor, prompt, ReadToEnd(stream), tally);
    }
    for (auto& of_thread : takers) {
      for (const auto& taker : of_thread) {
        for (const auto& [prompt, answer] : taker->TakeAll()) Check(executor, prompt, answer, tally);
      }
    }
    EXPECT_EQ(tally.read + tally.dropped, tally.submitted);
    EXPECT_EQ(tally.submitted + tally.refused, kSubmitters * kRequestsEach);
    for (const StopReason reason : {StopReason::kLength, StopReason::kCancelled, StopReason::kError})
      EXPECT_GT(tally.reasons[static_cast<size_t>(reason)], 0) << Name(reason);
    if (round < 3) {
      EXPECT_LT(tally.refused, tally.submitted);
    }
    EXPECT_LE(most_streams, kMostStreams);
    EXPECT_GT(most_bytes, 0);
    EXPECT_LE(most_bytes, kMostStreams * kMostMailboxBytes);
    unread.clear();
    loop->Call([](const Engine&) {});  // it has let go of what it had to say last
    EXPECT_EQ(loop->streams(), 0);
    EXPECT_EQ(loop->mailbox_bytes(), 0);
  }
}

// Ended from under its streams while other threads submit, read and cancel.
TEST(EngineLoopStorm, EndsWithRequestsInEveryState) {
  for (uint32_t round = 0; round < 30; ++round) {
    FakeExecutor executor({.max_sequences = 3});
    auto loop = std::make_unique<EngineLoop>(std::make_unique<Engine>(executor));
    std::vector<std::pair<Stream, std::vector<int32_t>>> streams;
    for (int32_t i = 0; i < 20; ++i)
      streams.emplace_back(*loop->Submit(MakeRequest(Prompt(20, i), 100)), Prompt(20, i));
    std::thread canceller([&] {
      for (auto& [stream, prompt] : streams) stream.Cancel();
    });
    std::thread ending([&] {
      std::this_thread::sleep_for(std::chrono::microseconds(50 * round));
      loop.reset();
    });
    Tally tally;
    for (auto& [stream, prompt] : streams) Check(executor, prompt, ReadToEnd(stream), tally);
    canceller.join();
    ending.join();
    EXPECT_EQ(tally.read, 20);
  }
}

}  // namespace
}  // namespace oxidized
