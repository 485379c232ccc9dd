#include "bench/run_watch.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <thread>

#include "base/process.h"

namespace oxidized::cli {
namespace {

TEST(RunWatch, WhatItsOwnReadersTookIsNoDisturbance) {
  const ThreadTimes before{.waited_s = 1.0, .reading_s = 0.5};
  EXPECT_DOUBLE_EQ(WaitedForOthers(before, {.waited_s = 1.25, .reading_s = 0.5}), 0.25);
  EXPECT_DOUBLE_EQ(WaitedForOthers(before, {.waited_s = 1.25, .reading_s = 0.625}), 0.125);
  EXPECT_DOUBLE_EQ(WaitedForOthers(before, {.waited_s = 1.25, .reading_s = 1.5}), 0.0);
  EXPECT_TRUE(std::isnan(
      WaitedForOthers(before, {.waited_s = std::numeric_limits<double>::quiet_NaN(), .reading_s = 0.5})));
}

// What the counters gained while a thread of this name had a processor for 20 ms.
double ReadingSeconds(const char* name) {
  const ThreadTimes before = ReadThreadTimes();
  ThreadTimes after;
  std::thread([&] {
    if (name != nullptr) NameThisThread(name);
    for (timespec now{}; now.tv_nsec < 20'000'000 && now.tv_sec == 0;)
      ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));  // the kernel counts a turn when it ends
    after = ReadThreadTimes();
  }).join();
  return after.reading_s - before.reading_s;
}

TEST(RunWatch, ReadersAreKnownByTheirName) {
  if (std::isnan(ReadThreadTimes().waited_s)) GTEST_SKIP() << "this kernel does not count";
  EXPECT_GE(ReadingSeconds("expert-reader"), 0.018);
  EXPECT_EQ(ReadingSeconds(nullptr), 0.0);
}

}  // namespace
}  // namespace oxidized::cli
