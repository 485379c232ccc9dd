#include "parallel/thread_team.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <filesystem>
#include <fstream>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/address_space_test_util.h"
#include "base/error.h"
#include "parallel/cpu_topology.h"

namespace oxidized {
namespace {

class ThreadTeamSizes : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Sizes, ThreadTeamSizes, ::testing::Values(1, 2, 3, 7));

TEST_P(ThreadTeamSizes, EveryShareRunsOnceAndPlainWritesAreSeen) {
  ThreadTeam team(GetParam());
  std::vector<int> calls(
      static_cast<size_t>(GetParam()));  // deliberately not atomic: TSan judges the hand-over
  for (int region = 0; region < 500; ++region) {
    team.Run([&](int share, int shares) {
      EXPECT_EQ(shares, GetParam());
      ++calls[static_cast<size_t>(share)];
    });
    EXPECT_EQ(std::accumulate(calls.begin(), calls.end(), 0), (region + 1) * GetParam());
  }
}

TEST_P(ThreadTeamSizes, ARegionSeesAllOfTheOneBefore) {
  ThreadTeam team(GetParam());
  const auto n = static_cast<size_t>(GetParam());
  std::vector<int> ping(n), pong(n);
  for (int round = 0; round < 500; ++round) {
    team.Run([&](int share, int shares) {
      for (int other = 0; other < shares; ++other) EXPECT_EQ(pong[static_cast<size_t>(other)], round);
      ping[static_cast<size_t>(share)] = round + 1;
    });
    team.Run([&](int share, int shares) {
      for (int other = 0; other < shares; ++other) EXPECT_EQ(ping[static_cast<size_t>(other)], round + 1);
      pong[static_cast<size_t>(share)] = round + 1;
    });
  }
}

TEST_P(ThreadTeamSizes, AnExceptionReachesTheCallerAndTheTeamGoesOn) {
  ThreadTeam team(GetParam());
  for (int round = 0; round < 20; ++round) {
    const int thrower = round % GetParam();
    std::atomic<int> calls = 0;
    const auto body = [&](int share, int) {
      ++calls;
      if (share == thrower) throw std::runtime_error("planted");
    };
    EXPECT_THROW(team.Run(body), std::runtime_error);
    EXPECT_EQ(calls, GetParam());
    team.Run([&](int, int) { ++calls; });
    EXPECT_EQ(calls, 2 * GetParam());
  }
}

TEST_P(ThreadTeamSizes, EveryItemIsTakenOnceAndAThrowingOneEndsItsShare) {
  ThreadTeam team(GetParam());
  for (const int items : {0, 1, 2, 100}) {
    std::vector<int> taken(static_cast<size_t>(items));
    team.ForEach(items, [&](int64_t item, int share) {
      EXPECT_LT(share, GetParam());
      ++taken[static_cast<size_t>(item)];
    });
    EXPECT_EQ(taken, std::vector<int>(static_cast<size_t>(items), 1));
  }
  const auto body = [](int64_t item, int) {
    if (item == 3) throw std::runtime_error("planted");
  };
  EXPECT_THROW(team.ForEach(10, body), std::runtime_error);
  std::atomic<int> calls = 0;
  team.ForEach(10, [&](int64_t, int) { ++calls; });
  EXPECT_EQ(calls, 10);
}

// A thread that is held up does less: the others take what it has not begun.
TEST(ThreadTeam, WhoIsFreeTakesTheNextItem) {
  ThreadTeam team(2);
  std::atomic<bool> others_done = false;
  std::atomic<int> left = 20;
  team.ForEach(20, [&](int64_t item, int) {
    if (item != 0) {
      if (--left == 1) others_done = true;
      return;
    }
    for (int i = 0; i < 5000 && !others_done; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  });
  EXPECT_TRUE(others_done);
}

TEST_P(ThreadTeamSizes, ParkedWorkersWakeUp) {
  ThreadTeam team(GetParam());
  for (int round = 0; round < 3; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    std::atomic<int> calls = 0;
    team.Run([&](int, int) { ++calls; });
    EXPECT_EQ(calls, GetParam());
  }
}

// All on one processor: a helper runs only when the caller leaves it, as on a machine where others have the
// rest. Waiting for it in each region would take a change of threads each time.
TEST(ThreadTeam, TheCallerRunsWhatNobodyHasBegun) {
  cpu_set_t before, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
  CPU_ZERO(&one);
  CPU_SET(static_cast<size_t>(DetectCpuTopology().cpus[0]), &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
  {
    ThreadTeam team(2);
    const std::thread::id caller = std::this_thread::get_id();
    std::atomic<int> by_caller = 0;
    constexpr int kRegions = 2000;
    for (int region = 0; region < kRegions; ++region) {
      team.Run([&](int share, int) {
        if (share == 1 && std::this_thread::get_id() == caller) ++by_caller;
      });
    }
    EXPECT_GT(by_caller, kRegions / 2);
  }
  EXPECT_EQ(sched_setaffinity(0, sizeof(before), &before), 0);
}

// Helpers that wait already must not be waited for.
TEST(ThreadTeam, SaysSoWhereNotAllOfItsThreadsCanBeStarted) {
  if (!test::ScarceAddressSpace::Works()) GTEST_SKIP() << "no limit on address space here";
  const test::ScarceAddressSpace for_two(2);
  try {
    ThreadTeam team(16);
    ADD_FAILURE() << "15 threads were started";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kNoMemory);
    EXPECT_NE(std::string(error.what()).find("a thread could not be started"), std::string::npos);
  }
}

using Milliseconds = std::chrono::milliseconds;

TEST(HelpersWorth, ShortWaitsAreBorne) {
  HelpersWorth worth(2);
  HelpersWorth::Time now = HelpersWorth::Time() + std::chrono::hours(1);
  for (int i = 0; i < 1000; ++i) {  // 1 ms in 5
    worth.Waited(now + Milliseconds(4), now + Milliseconds(5));
    now += Milliseconds(5);
    EXPECT_FALSE(worth.alone()) << i;
  }
}

// However long it went well before: soon alone, and then at most a fifth of the time is lost.
TEST(HelpersWorth, LongWaitsCostAtMostAFifth) {
  for (const int workers : {2, 3, 64}) {
    HelpersWorth worth(workers);
    const HelpersWorth::Time begin = HelpersWorth::Time() + std::chrono::hours(1);
    HelpersWorth::Time now = begin;
    Milliseconds lost{};
    while (now < begin + std::chrono::seconds(10)) {
      if (worth.alone()) worth.Now(now);
      const Milliseconds step(worth.alone() ? 1 : 3);
      if (!worth.alone()) {
        worth.Waited(now, now + step);
        lost += step;
      }
      now += step;
    }
    EXPECT_LE(lost * 5, (now - begin) * 1.05) << workers;
    EXPECT_GT(lost, Milliseconds(100)) << "helpers are never tried again";
  }
}

TEST(HelpersWorth, EvenAfterAStandstillHelpersAreSoonBack) {
  HelpersWorth worth(2);
  const HelpersWorth::Time now = HelpersWorth::Time() + std::chrono::hours(1);
  worth.Waited(now - std::chrono::minutes(5), now);
  EXPECT_TRUE(worth.alone());
  worth.Now(now + Milliseconds(99));
  EXPECT_TRUE(worth.alone());
  worth.Now(now + Milliseconds(100));
  EXPECT_FALSE(worth.alone());
}

TEST(ShareOf, CoversEverythingOnceAtMultiplesOfTheGranule) {
  for (const int64_t count : {0, 1, 31, 32, 33, 1000}) {
    for (const int workers : {1, 2, 3, 7}) {
      int64_t at = 0;
      for (int worker = 0; worker < workers; ++worker) {
        const Share share = ShareOf(count, 8, worker, workers);
        EXPECT_EQ(share.begin, at);
        EXPECT_GE(share.end, share.begin);
        EXPECT_TRUE(share.end % 8 == 0 || share.end == count);
        at = share.end;
      }
      EXPECT_EQ(at, count);
    }
  }
}

TEST(CpuTopology, ThisMachine) {
  const CpuTopology topology = DetectCpuTopology();
  ASSERT_FALSE(topology.cpus.empty());
  EXPECT_GE(topology.cores, 1);
  EXPECT_LE(topology.cores, static_cast<int>(topology.cpus.size()));
  EXPECT_GE(topology.DefaultThreads(), 1);
  EXPECT_LE(topology.DefaultThreads(), topology.UsableCpus());
}

TEST(CpuTopology, TheQuotaRoundsUpAndNeverExceedsTheMask) {
  CpuTopology topology{{0, 1, 2, 3}, 4, 1.5};
  EXPECT_EQ(topology.UsableCpus(), 2);
  topology.quota = 0.01;
  EXPECT_EQ(topology.UsableCpus(), 1);
  topology.quota = 64.0;
  EXPECT_EQ(topology.UsableCpus(), 4);
}

class CgroupFiles : public ::testing::Test {
 protected:
  void Write(const std::string& name, const std::string& text) {
    const auto path = root_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  std::filesystem::path root_ =
      std::filesystem::temp_directory_path() / ("oxidized_cgroup_" + std::to_string(::getpid()));
};

TEST_F(CgroupFiles, VersionTwoTakesTheTightestAncestor) {
  Write("list", "0::/a/b\n");
  Write("mount/cpu.max", "max 100000\n");
  Write("mount/a/cpu.max", "150000 100000\n");
  Write("mount/a/b/cpu.max", "400000 100000\n");
  EXPECT_EQ(ReadCgroupQuota(root_ / "list", root_ / "mount"), 1.5);
}

TEST_F(CgroupFiles, VersionOneReadsQuotaAndPeriod) {
  Write("list", "3:cpuset:/\n2:cpu,cpuacct:/job\n");
  Write("mount/cpu,cpuacct/job/cpu.cfs_quota_us", "200000\n");
  Write("mount/cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(ReadCgroupQuota(root_ / "list", root_ / "mount"), 2.0);
}

TEST_F(CgroupFiles, NoLimitAndBrokenFilesMeanUnlimited) {
  EXPECT_EQ(ReadCgroupQuota(root_ / "absent", root_ / "mount"), std::nullopt);
  Write("list", "nonsense\n0::/a\n1:cpu:/../..\n");
  Write("mount/a/cpu.max", "garbage\n");
  Write("mount/cpu/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(ReadCgroupQuota(root_ / "list", root_ / "mount"), std::nullopt);
}

}  // namespace
}  // namespace oxidized
