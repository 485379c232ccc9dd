// Which processors this process may really use: its affinity mask, cut down by the cgroup's CPU quota (a
// container with
// "--cpus 2" on a 64-core host has two). Read once at start by whoever decides how many threads to run.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

namespace oxidized {

struct CpuTopology {
  std::vector<int> cpus;        // ids in the affinity mask, ascending, never empty
  int cores = 1;                // distinct physical cores among them (SMT siblings count once)
  std::optional<double> quota;  // processors' worth of time the cgroups grant; nullopt: no limit

  // Threads that can run at the same time: min(cpus, quota rounded up), at least 1.
  int UsableCpus() const;
  // A good thread count for work bound by memory or by the vector units: one a core, within the quota.
  int DefaultThreads() const;
};

CpuTopology DetectCpuTopology();

// The smallest quota of the process's cgroup and its ancestors, v2 (cpu.max) or v1 (cpu.cfs_quota_us).
// `cgroup_list` is a /proc/self/cgroup, `mount` the folder where cgroups are mounted. Unreadable files count
// as no limit.
std::optional<double> ReadCgroupQuota(const std::filesystem::path& cgroup_list,
                                      const std::filesystem::path& mount);

}  // namespace oxidized
