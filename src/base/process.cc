#include "base/process.h"

#include <pthread.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "base/error.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace oxidized {
namespace {

// The value of `field` in a /proc file of lines "Name:   1234 kB", in bytes; `missing` where there is none.
int64_t KilobyteField(const char* file, const std::string& field, int64_t missing) {
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(field + ":")) return std::stoll(line.substr(field.size() + 1)) * 1024;
  }
  return missing;
}

std::optional<int64_t> NumberIn(const std::filesystem::path& file) {
  std::ifstream in(file);
  int64_t number = 0;
  if (!(in >> number)) return std::nullopt;  // also "max"
  return number;
}

// The page cache of a group: whether its pages were used once or often, the kernel gives them up before it
// ends a process.
int64_t CacheBytes(const std::filesystem::path& stat, const std::string& prefix) {
  std::ifstream in(stat);
  std::string name;
  int64_t bytes = 0;
  for (int64_t value = 0; in >> name >> value;) {
    if (name == prefix + "inactive_file" || name == prefix + "active_file") bytes += value;
  }
  return bytes;
}

// The names of one kind of control group: version 2, or version 1's memory controller.
struct GroupFiles {
  const char* mount;
  const char* limit;
  const char* used;
  const char* stat_prefix;  // of the fields of memory.stat that count what is below, too
};
constexpr GroupFiles kVersion2 = {"/sys/fs/cgroup", "memory.max", "memory.current", ""};
constexpr GroupFiles kVersion1 = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
                                  "total_"};

// The group and all above it, since each of them limits what is below.
void Tighten(const GroupFiles& files, const std::string& group, std::optional<MemoryLimit>& tightest) {
  const std::filesystem::path mount = files.mount;
  // A container often sees its own group as the root: then the path leads nowhere, its last part does.
  for (std::filesystem::path at = std::filesystem::path(group).relative_path();; at = at.parent_path()) {
    const std::filesystem::path folder = mount / at;
    const auto limit = NumberIn(folder / files.limit);
    const auto used = NumberIn(folder / files.used);
    // Version 1 says "no limit" with a number no machine has.
    if (limit && used && *limit < TotalMemoryBytes()) {
      const MemoryLimit found{*limit, *used - CacheBytes(folder / "memory.stat", files.stat_prefix)};
      if (!tightest || found.limit_bytes - found.used_bytes < tightest->limit_bytes - tightest->used_bytes)
        tightest = found;
    }
    if (at.empty()) return;
  }
}

}  // namespace

std::optional<MemoryLimit> ReadMemoryLimit() {
  std::optional<MemoryLimit> tightest;
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1),
                      group = line.substr(second + 1);
    if (controllers.empty()) Tighten(kVersion2, group, tightest);
    if (controllers == "memory") Tighten(kVersion1, group, tightest);
  }
  return tightest;
}

int64_t HeapBytes() {
#ifdef __GLIBC__
  const struct mallinfo2 heap = ::mallinfo2();
  return static_cast<int64_t>(heap.uordblks) + static_cast<int64_t>(heap.hblkhd);
#else
  return 0;
#endif
}

ProcessMemory ReadProcessMemory() {
  constexpr const char* kStatus = "/proc/self/status";
  return {KilobyteField(kStatus, "VmRSS", 0), KilobyteField(kStatus, "RssAnon", 0),
          KilobyteField(kStatus, "RssFile", 0), KilobyteField(kStatus, "VmHWM", 0)};
}

int64_t AvailableMemoryBytes() {
  const int64_t machine = KilobyteField("/proc/meminfo", "MemAvailable", std::numeric_limits<int64_t>::max());
  const std::optional<MemoryLimit> limit = ReadMemoryLimit();
  return limit ? std::min(machine, std::max<int64_t>(0, limit->limit_bytes - limit->used_bytes)) : machine;
}

int64_t TotalMemoryBytes() {
  return KilobyteField("/proc/meminfo", "MemTotal", std::numeric_limits<int64_t>::max());
}

void NameThisThread(const char* name) {
#ifdef __APPLE__
  ::pthread_setname_np(name);
#else
  ::pthread_setname_np(::pthread_self(), name);
#endif
}

std::jthread StartThread(std::function<void()> body) {
  try {
    return std::jthread(std::move(body));
  } catch (const std::system_error& error) {
    Fail(ErrorKind::kNoMemory,
         "a thread could not be started: {}: raise the limit on threads or memory (ulimit -u, ulimit -v, the "
         "container's), or use fewer threads",
         error.code().message());
  }
}

}  // namespace oxidized
