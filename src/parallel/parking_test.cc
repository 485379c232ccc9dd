#include "parallel/parking.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>
#include <vector>

namespace oxidized::internal {
namespace {

TEST(Parking, AWordThatHasChangedIsNotWaitedFor) {
  const std::atomic<uint32_t> word = 1;
  Park(word, 0);
}

TEST(Parking, AllWhoSleepAreWokenByTheChangeOfTheirWord) {
  std::atomic<uint32_t> word = 0, other = 0, asleep = 0;
  std::vector<std::jthread> sleepers;
  for (int i = 0; i < 3; ++i) {
    sleepers.emplace_back([&] {
      for (uint32_t round = 0; round < 100; ++round) {
        ++asleep;
        while (word.load() == round) Park(word, round);
      }
    });
  }
  for (uint32_t round = 0; round < 100; ++round) {
    while (asleep.load() < 3 * (round + 1)) std::this_thread::yield();
    if (round == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));  // in the kernel for sure
    WakeAll(other);
    word.store(round + 1);
    WakeAll(word);
  }
}

}  // namespace
}  // namespace oxidized::internal
