// What the operating system says about this process and machine. Zero (or "no limit") where it says nothing.
#pragma once

#include <cstdint>

namespace oxidized {

struct ProcessMemory {
  int64_t resident_bytes = 0;
  int64_t anonymous_bytes = 0;  // of resident: private memory
  int64_t file_bytes = 0;       // of resident: mapped files
  int64_t peak_bytes = 0;
};
ProcessMemory ReadProcessMemory();

// What can still be used without swapping, page cache included.
int64_t AvailableMemoryBytes();

}  // namespace oxidized
