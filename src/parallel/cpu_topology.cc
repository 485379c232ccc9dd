#include "parallel/cpu_topology.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>
#include <string>
#include <thread>

namespace oxidized {
namespace {

namespace fs = std::filesystem;

// "max 100000" or "150000 100000" -> processors.
std::optional<double> ReadV2(const fs::path& folder) {
  std::ifstream file(folder / "cpu.max");
  std::string quota;
  double period = 0.0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0.0) return std::nullopt;
  const double value = std::atof(quota.c_str());
  return value > 0.0 ? std::optional(value / period) : std::nullopt;
}

std::optional<double> ReadV1(const fs::path& folder) {
  std::ifstream quota_file(folder / "cpu.cfs_quota_us"), period_file(folder / "cpu.cfs_period_us");
  double quota = 0.0, period = 0.0;
  if (!(quota_file >> quota) || !(period_file >> period) || quota <= 0.0 || period <= 0.0)
    return std::nullopt;
  return quota / period;
}

// Tightest limit from `root / group` up to `root`. Inside a container the group's path may not exist below
// the mount; the missing levels then read as unlimited and the root itself carries the container's limit.
template <typename Read>
void Tighten(const fs::path& root, const fs::path& group, Read read, std::optional<double>& tightest) {
  const auto consider = [&](const fs::path& folder) {
    const std::optional<double> limit = read(folder);
    if (limit && (!tightest || *limit < *tightest)) tightest = limit;
  };
  fs::path folder = root;
  consider(folder);
  for (const fs::path& part : group.relative_path()) {
    if (part == "..") return;
    folder /= part;
    consider(folder);
  }
}

}  // namespace

std::optional<double> ReadCgroupQuota(const fs::path& cgroup_list, const fs::path& mount) {
  std::optional<double> tightest;
  std::ifstream list(cgroup_list);
  for (std::string line; std::getline(list, line);) {  // "hierarchy:controllers:path"
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const fs::path group = line.substr(second + 1);
    if (controllers.empty()) {
      Tighten(mount, group, ReadV2, tightest);
    } else if (("," + controllers + ",").find(",cpu,") != std::string::npos) {
      Tighten(mount / controllers, group, ReadV1, tightest);
      if (controllers != "cpu") Tighten(mount / "cpu", group, ReadV1, tightest);
    }
  }
  return tightest;
}

CpuTopology DetectCpuTopology() {
  CpuTopology topology;
#ifdef __linux__
  // The kernel's mask may be wider than cpu_set_t on very large hosts: grow until it fits.
  for (int bits = 1024; bits <= 1 << 20; bits *= 4) {
    std::vector<cpu_set_t> set(static_cast<size_t>(bits) / CPU_SETSIZE);
    const size_t bytes = set.size() * sizeof(cpu_set_t);
    if (sched_getaffinity(0, bytes, set.data()) != 0) continue;
    for (int cpu = 0; cpu < bits; ++cpu) {
      if (CPU_ISSET_S(static_cast<size_t>(cpu), bytes, set.data())) topology.cpus.push_back(cpu);
    }
    break;
  }
#endif
  if (topology.cpus.empty()) {
    const int count = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
    for (int cpu = 0; cpu < count; ++cpu) topology.cpus.push_back(cpu);
  }
  std::set<std::string> cores;
  for (const int cpu : topology.cpus) {
    std::ifstream file("/sys/devices/system/cpu/cpu" + std::to_string(cpu) +
                       "/topology/thread_siblings_list");
    std::string siblings;
    if (!std::getline(file, siblings)) siblings = "cpu" + std::to_string(cpu);
    cores.insert(siblings);
  }
  topology.cores = static_cast<int>(cores.size());
  topology.quota = ReadCgroupQuota("/proc/self/cgroup", "/sys/fs/cgroup");
  return topology;
}

int CpuTopology::UsableCpus() const {
  const int count = static_cast<int>(cpus.size());
  return quota ? std::clamp(static_cast<int>(std::ceil(*quota)), 1, count) : count;
}

int CpuTopology::DefaultThreads() const { return std::min(cores, UsableCpus()); }

}  // namespace oxidized
