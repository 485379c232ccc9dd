#include "parallel/thread_team.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "parallel/cpu_topology.h"

namespace oxidized {
namespace {

class ThreadTeamSizes : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Sizes, ThreadTeamSizes, ::testing::Values(1, 2, 3, 7));

TEST_P(ThreadTeamSizes, EveryWorkerRunsOnceAndPlainWritesAreSeen) {
  ThreadTeam team(GetParam());
  std::vector<int> calls(
      static_cast<size_t>(GetParam()));  // deliberately not atomic: TSan judges the hand-over
  for (int region = 0; region < 500; ++region) {
    team.Run([&](int worker, int workers) {
      EXPECT_EQ(workers, GetParam());
      ++calls[static_cast<size_t>(worker)];
    });
    EXPECT_EQ(std::accumulate(calls.begin(), calls.end(), 0), (region + 1) * GetParam());
  }
}

TEST_P(ThreadTeamSizes, BarrierSeparatesPhases) {
  ThreadTeam team(GetParam());
  const auto n = static_cast<size_t>(GetParam());
  std::vector<int> ping(n), pong(n);
  team.Run([&](int worker, int workers) {
    for (int phase = 0; phase < 100; ++phase) {
      ping[static_cast<size_t>(worker)] = phase;
      team.Barrier();
      for (int other = 0; other < workers; ++other) EXPECT_EQ(ping[static_cast<size_t>(other)], phase);
      pong[static_cast<size_t>(worker)] = phase;
      team.Barrier();
      for (int other = 0; other < workers; ++other) EXPECT_EQ(pong[static_cast<size_t>(other)], phase);
    }
  });
}

TEST_P(ThreadTeamSizes, AnExceptionReachesTheCallerAndTheTeamGoesOn) {
  ThreadTeam team(GetParam());
  for (int round = 0; round < 20; ++round) {
    const int thrower = round % GetParam();
    EXPECT_THROW(team.Run([&](int worker, int) {
      team.Barrier();
      if (worker == thrower) throw std::runtime_error("planted");
      team.Barrier();  // the others must not hang here
      team.Barrier();
    }),
                 std::runtime_error);
    std::atomic<int> calls = 0;
    team.Run([&](int, int) {
      team.Barrier();
      ++calls;
    });
    EXPECT_EQ(calls, GetParam());
  }
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
