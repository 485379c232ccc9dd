#include "base/process.h"

#include <fstream>
#include <limits>
#include <string>

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

}  // namespace

ProcessMemory ReadProcessMemory() {
  constexpr const char* kStatus = "/proc/self/status";
  return {KilobyteField(kStatus, "VmRSS", 0), KilobyteField(kStatus, "RssAnon", 0),
          KilobyteField(kStatus, "RssFile", 0), KilobyteField(kStatus, "VmHWM", 0)};
}

int64_t AvailableMemoryBytes() {
  return KilobyteField("/proc/meminfo", "MemAvailable", std::numeric_limits<int64_t>::max());
}

}  // namespace oxidized
