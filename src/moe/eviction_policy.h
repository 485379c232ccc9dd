// Which resident expert makes room for another. One rule for two users: the ExpertStore, which moves bytes,
// and `moe simulate`, which replays a trace; so the figures of the second hold for the first.
//
// A rule is a priority for each expert that changes only when that expert is touched; the victim is the
// unpinned resident expert of lowest priority (the longest resident one on ties). The base class keeps
// residency, pins and an indexed heap, so every operation is O(log n) and allocates nothing after
// construction. A new rule is a subclass with one or two functions and a row in the table of
// eviction_policy.cc.
//
// Not thread-safe: the caller's lock covers it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace oxidized {

struct ExpertId {
  int32_t layer = 0;
  int32_t expert = 0;
  bool operator==(const ExpertId&) const = default;
};

class EvictionPolicy {
 public:
  EvictionPolicy(int32_t num_layers, int32_t num_experts);
  virtual ~EvictionPolicy() = default;
  EvictionPolicy(const EvictionPolicy&) = delete;
  EvictionPolicy& operator=(const EvictionPolicy&) = delete;

  virtual const char* name() const = 0;

  // The router chose this expert, resident or not: call it once for each use, hit or miss.
  void OnAccess(ExpertId id);
  // The expert became resident (a demand read or a prefetch); that is no use of it.
  void OnInsert(ExpertId id);
  // The expert left by other means than Evict, as after a failed read.
  void OnRemove(ExpertId id);

  // A pinned expert is never chosen. Pins count, and may be set before the expert is resident.
  void Pin(ExpertId id);
  void Unpin(ExpertId id);

  // Chooses the victim, which is no longer resident then; nullopt: every resident expert is pinned.
  std::optional<ExpertId> Evict();

  bool resident(ExpertId id) const { return nodes_[Index(id)].resident; }
  bool pinned(ExpertId id) const { return nodes_[Index(id)].pins > 0; }
  int64_t num_resident() const { return num_resident_; }

 protected:
  // The new priority of `key` (= layer * E + expert) after a use. `now` counts all uses so far.
  virtual double PriorityOnAccess(size_t key, int64_t now) = 0;
  // The same for an expert that became resident; `current` is what it had when last touched, 0 if never.
  virtual double PriorityOnInsert(size_t key, double current, int64_t now);
  virtual void OnEvicted(size_t /*key*/, double /*priority*/) {}

  size_t num_keys() const { return nodes_.size(); }

 private:
  struct Node {
    double priority = 0.0;
    int64_t inserted = 0;  // order of becoming resident, for ties
    int32_t pins = 0;
    int32_t heap = -1;  // place in heap_, -1: not in it (absent or pinned)
    bool resident = false;
  };

  size_t Index(ExpertId id) const;
  bool Before(int32_t a, int32_t b) const;  // whether a is evicted before b
  void HeapInsert(size_t key);
  void HeapRemove(size_t key);
  void Sift(size_t place);
  void Place(size_t place, int32_t key);
  void SetPriority(size_t key, double priority);

  int32_t num_layers_, num_experts_;
  std::vector<Node> nodes_;    // [L * E]
  std::vector<int32_t> heap_;  // keys that may be evicted; the next victim is first
  int64_t accesses_ = 0;
  int64_t insertions_ = 0;
  int64_t num_resident_ = 0;
};

enum class EvictionRule : uint8_t {
  kLru,        // least recently used
  kFrequency,  // least used of late: every use counts half as much once a number of uses has gone by
  kLfuDa,      // least frequently used with dynamic aging
};

struct EvictionRuleInfo {
  EvictionRule rule;
  const char* name;
  const char* summary;
};
std::span<const EvictionRuleInfo> EvictionRules();
const char* Name(EvictionRule rule);
std::optional<EvictionRule> ParseEvictionRule(std::string_view name);

std::unique_ptr<EvictionPolicy> MakeEvictionPolicy(EvictionRule rule, int32_t num_layers,
                                                   int32_t num_experts);

// kFrequency with a half-life of its own, in passes over all experts' worth of uses (L * E uses).
std::unique_ptr<EvictionPolicy> MakeFrequencyPolicy(int32_t num_layers, int32_t num_experts,
                                                    double half_life);

}  // namespace oxidized
