// Who owns which bytes: every large allocation and every mapping registers itself here under an owner and a
// class, which is what --memory-stats prints and what tests reconcile with the process's own figures. Thread
// safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace oxidized {

enum class MemoryClass : uint8_t { kMapped, kWeights, kExperts, kKv, kActivations, kTokenizer, kOther };
const char* Name(MemoryClass memory_class);

struct MemoryEntry {
  std::string owner;
  MemoryClass memory_class;
  int64_t bytes;  // reserved address space; pages never touched cost nothing
};

// Live registrations, summed by (owner, class), largest first.
std::vector<MemoryEntry> MemoryEntries();

struct MemoryRange : MemoryEntry {
  const void* address;  // of `bytes` whole pages of its own; nullptr: spread over the heap
};
// Each live registration by itself, in order of registration.
std::vector<MemoryRange> MemoryRanges();

// One registration; ends with the object. Movable, so that the owner of the bytes can be.
class MemoryRegistration {
 public:
  MemoryRegistration() = default;
  // `address`: of memory that the owner mapped for itself.
  MemoryRegistration(std::string owner, MemoryClass memory_class, int64_t bytes,
                     const void* address = nullptr);
  ~MemoryRegistration();
  MemoryRegistration(MemoryRegistration&& other) noexcept : id_(other.id_) { other.id_ = 0; }
  MemoryRegistration& operator=(MemoryRegistration&& other) noexcept;

 private:
  uint64_t id_ = 0;  // 0: nothing registered
};

}  // namespace oxidized
