// --memory-stats: every resident byte of the process in one class, measured. The classes are disjoint and sum
// to what the kernel says is resident; the difference to its own total, read a moment later, is stated.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace oxidized {

struct MemoryLine {
  std::string memory_class;  // "mapped", "kv", "heap"
  std::string what;
  int64_t resident_bytes = 0;
  int64_t reserved_bytes = 0;  // address space; pages never touched use no memory
};

struct MemoryAccount {
  std::vector<MemoryLine> lines;
  int64_t sum_bytes = 0;      // of resident_bytes
  int64_t process_bytes = 0;  // what the kernel counts as resident (VmRSS)
  int64_t peak_bytes = 0;
};
MemoryAccount AccountMemory();

std::string MemoryTable();

}  // namespace oxidized
