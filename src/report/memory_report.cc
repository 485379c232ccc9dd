#include "report/memory_report.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>

#include "base/mapped_file.h"
#include "base/memory_registry.h"
#include "base/process.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace oxidized {
namespace {

// Which pages of a range are in this process's page tables (bit 63 of /proc/self/pagemap).
int64_t ResidentBytes(const void* address, int64_t bytes) {
  const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uint64_t>(address) / page;
  const auto end = (reinterpret_cast<uint64_t>(address) + static_cast<uint64_t>(bytes) + page - 1) / page;
  const int fd = ::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  std::vector<uint64_t> entries(size_t{1} << 16);
  int64_t resident = 0;
  for (uint64_t at = begin; at < end;) {
    const size_t want = std::min<size_t>(entries.size(), end - at);
    const ssize_t got =
        ::pread(fd, entries.data(), want * sizeof(uint64_t), static_cast<off_t>(at * sizeof(uint64_t)));
    if (got <= 0) break;
    const size_t count = static_cast<size_t>(got) / sizeof(uint64_t);
    for (size_t i = 0; i < count; ++i) resident += entries[i] >> 63 != 0 ? static_cast<int64_t>(page) : 0;
    at += count;
  }
  ::close(fd);
  return resident;
}

struct Mapping {
  uint64_t begin = 0, end = 0;
  std::string name;  // a path, [stack], …
  int64_t resident_bytes = 0;
};

std::vector<Mapping> ReadMappings() {
  std::vector<Mapping> mappings;
  std::ifstream file("/proc/self/smaps");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string first, skip;
    words >> first;
    if (first == "Rss:" && !mappings.empty()) {
      int64_t kilobytes = 0;
      words >> kilobytes;
      mappings.back().resident_bytes = kilobytes * 1024;
    } else if (const size_t dash = first.find('-'); dash != std::string::npos && first.back() != ':') {
      Mapping mapping;
      mapping.begin = std::stoull(first.substr(0, dash), nullptr, 16);
      mapping.end = std::stoull(first.substr(dash + 1), nullptr, 16);
      words >> skip >> skip >> skip >> skip >> mapping.name;
      mappings.push_back(mapping);
    }
  }
  return mappings;
}

// Class and owner. A model may be many files; their folder says which, their names do not fit.
std::pair<std::string, std::string> Describe(const MemoryRange& range) {
  const bool file = MappedFile::PathAt(range.address) != nullptr;
  return {Name(range.memory_class), file ? "model files" : range.owner};
}

}  // namespace

MemoryAccount AccountMemory() {
  MemoryAccount account;
  const ProcessMemory process = ReadProcessMemory();
  account.process_bytes = process.resident_bytes;
  account.peak_bytes = process.peak_bytes;

  const std::vector<MemoryRange> ranges = MemoryRanges();
  std::map<std::pair<std::string, std::string>, MemoryLine> registered;
  int64_t on_heap = 0;
  for (const MemoryRange& range : ranges) {
    MemoryLine& line = registered[Describe(range)];
    line.reserved_bytes += range.bytes;
    line.resident_bytes += range.address != nullptr ? ResidentBytes(range.address, range.bytes) : range.bytes;
    if (range.address == nullptr) on_heap += range.bytes;
  }
  for (auto& [described, line] : registered) {
    std::tie(line.memory_class, line.what) = described;
    account.lines.push_back(line);
  }
  std::stable_sort(account.lines.begin(), account.lines.end(), [](const MemoryLine& a, const MemoryLine& b) {
    return a.resident_bytes > b.resident_bytes;
  });

  MemoryLine heap{.memory_class = "heap", .what = "everything else allocated"};
  heap.resident_bytes = heap.reserved_bytes = std::max<int64_t>(0, HeapBytes() - on_heap);
  MemoryLine code{.memory_class = "program", .what = "code and libraries"},
      stack{.memory_class = "stack", .what = "of the main thread"};
  for (const Mapping& mapping : ReadMappings()) {
    const bool ours = std::any_of(ranges.begin(), ranges.end(), [&](const MemoryRange& range) {
      const auto address = reinterpret_cast<uint64_t>(range.address);
      return address >= mapping.begin && address < mapping.end;
    });
    if (ours) continue;
    MemoryLine* line = mapping.name.starts_with('/') ? &code : mapping.name == "[stack]" ? &stack : nullptr;
    if (line == nullptr) continue;
    line->resident_bytes += mapping.resident_bytes;
    line->reserved_bytes += static_cast<int64_t>(mapping.end - mapping.begin);
  }
  for (MemoryLine* line : {&heap, &code, &stack}) account.lines.push_back(*line);
  for (const MemoryLine& line : account.lines) account.sum_bytes += line.resident_bytes;
  return account;
}

std::string MemoryTable() {
  const MemoryAccount account = AccountMemory();
  const auto mib = [](int64_t bytes) { return static_cast<double>(bytes) / 1024.0 / 1024.0; };
  std::string table =
      fmt::format("{:>12} {:>13}  {:<12}{}\n", "resident MiB", "reserved MiB", "class", "what");
  for (const MemoryLine& line : account.lines)
    table += fmt::format("{:12.1f} {:13.1f}  {:<12}{}\n", mib(line.resident_bytes), mib(line.reserved_bytes),
                         line.memory_class, line.what);
  const int64_t difference = account.process_bytes - account.sum_bytes;
  table += fmt::format("{:12.1f} {:>13}  sum\n", mib(account.sum_bytes), "");
  table += fmt::format("{:12.1f} {:>13}  resident in the process (peak {:.1f})\n", mib(account.process_bytes),
                       "", mib(account.peak_bytes));
  table +=
      fmt::format("{:+12.1f} {:>13}  difference, {:.1f} %: threads' stacks, free heap", mib(difference), "",
                  100.0 * static_cast<double>(difference) /
                      static_cast<double>(std::max<int64_t>(1, account.process_bytes)));
  return table;
}

}  // namespace oxidized
