#include "base/memory_registry.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

namespace oxidized {
namespace {

struct Registry {
  std::mutex mutex;
  uint64_t next_id = 1;
  std::map<uint64_t, MemoryRange> live;
};

// Never destroyed: owners with static lifetime may outlive any order of destruction.
Registry& Global() {
  static auto* registry = new Registry;
  return *registry;
}

}  // namespace

const char* Name(MemoryClass memory_class) {
  switch (memory_class) {
    case MemoryClass::kMapped:
      return "mapped";
    case MemoryClass::kWeights:
      return "weights";
    case MemoryClass::kExperts:
      return "experts";
    case MemoryClass::kKv:
      return "kv";
    case MemoryClass::kActivations:
      return "activations";
    case MemoryClass::kTokenizer:
      return "tokenizer";
    case MemoryClass::kOther:
      return "other";
  }
  return "other";
}

std::vector<MemoryEntry> MemoryEntries() {
  std::map<std::pair<std::string, MemoryClass>, int64_t> sums;
  {
    Registry& registry = Global();
    std::lock_guard lock(registry.mutex);
    for (const auto& [id, entry] : registry.live) sums[{entry.owner, entry.memory_class}] += entry.bytes;
  }
  std::vector<MemoryEntry> entries;
  for (const auto& [key, bytes] : sums) entries.push_back({key.first, key.second, bytes});
  std::stable_sort(entries.begin(), entries.end(),
                   [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
  return entries;
}

std::vector<MemoryRange> MemoryRanges() {
  Registry& registry = Global();
  std::lock_guard lock(registry.mutex);
  std::vector<MemoryRange> ranges;
  for (const auto& [id, range] : registry.live) ranges.push_back(range);
  return ranges;
}

MemoryRegistration::MemoryRegistration(std::string owner, MemoryClass memory_class, int64_t bytes,
                                       const void* address) {
  Registry& registry = Global();
  std::lock_guard lock(registry.mutex);
  id_ = registry.next_id++;
  registry.live.emplace(id_, MemoryRange{{std::move(owner), memory_class, bytes}, address});
}

MemoryRegistration::~MemoryRegistration() {
  if (id_ == 0) return;
  Registry& registry = Global();
  std::lock_guard lock(registry.mutex);
  registry.live.erase(id_);
}

MemoryRegistration& MemoryRegistration::operator=(MemoryRegistration&& other) noexcept {
  std::swap(id_, other.id_);
  return *this;
}

}  // namespace oxidized
