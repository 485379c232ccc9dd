// What the operating system says about this process and machine. Zero (or "no limit") where it says nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <thread>

namespace oxidized {

struct ProcessMemory {
  int64_t resident_bytes = 0;
  int64_t anonymous_bytes = 0;  // of resident: private memory
  int64_t file_bytes = 0;       // of resident: mapped files
  int64_t peak_bytes = 0;
};
ProcessMemory ReadProcessMemory();

// Bytes that the program's heap has handed out.
int64_t HeapBytes();

// A limit that a container or a service manager put on this process: the tightest of the control groups it is
// in. `used` leaves out page cache that the kernel would give up.
struct MemoryLimit {
  int64_t limit_bytes = 0;
  int64_t used_bytes = 0;
};
std::optional<MemoryLimit> ReadMemoryLimit();

// What can still be used without swapping, page cache included: of the machine, and under the limit.
int64_t AvailableMemoryBytes();
int64_t TotalMemoryBytes();

// What the thread that calls is called in `top -H` and /proc: 15 letters at most, else as it was. Threads
// that it starts later inherit the name.
void NameThisThread(const char* name);

// Throws Error(kNoMemory) where a limit allows no more threads. Threads that run already have to be told to
// end then, before they are destroyed: a std::jthread waits for its own.
std::jthread StartThread(std::function<void()> body);

}  // namespace oxidized
