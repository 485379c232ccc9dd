#include "moe/eviction_policy.h"

#include <cmath>

#include "base/error.h"

namespace oxidized {
namespace {

class LruPolicy final : public EvictionPolicy {
 public:
  using EvictionPolicy::EvictionPolicy;
  const char* name() const override { return "lru"; }

 protected:
  double PriorityOnAccess(size_t, int64_t now) override { return static_cast<double>(now); }
  double PriorityOnInsert(size_t, double, int64_t now) override { return static_cast<double>(now); }
};

// LRFU (Lee et al., IEEE Transactions on Computers 50(12), 2001): the value of an expert at time t is the sum
// over its past uses u of 2^(-(t - u) / half_life). All values decay at one rate, so their order stands still
// between uses; it is the order of s = log2(sum of 2^(u / half_life)), which needs no update as time goes by
// and no rescaling. History outlives residency: there are few experts, and a returning one is known.
class FrequencyPolicy final : public EvictionPolicy {
 public:
  FrequencyPolicy(int32_t num_layers, int32_t num_experts, double half_life_uses)
      : EvictionPolicy(num_layers, num_experts), half_life_(half_life_uses), value_(num_keys(), kNever) {}
  const char* name() const override { return "frequency"; }

 protected:
  double PriorityOnAccess(size_t key, int64_t now) override {
    const double added = static_cast<double>(now) / half_life_;
    double& value = value_[key];
    value = value == kNever ? added : added + std::log2(1.0 + std::exp2(value - added));
    return value;
  }
  double PriorityOnInsert(size_t key, double, int64_t) override { return value_[key]; }

 private:
  static constexpr double kNever = -1.0;  // below every value: times begin at 1
  double half_life_;
  std::vector<double> value_;
};

// LFU with dynamic aging (Arlitt et al., Performance Evaluation Review 27(4), 2000): priority = uses since it
// became resident + the priority of the last victim.
class LfuDaPolicy final : public EvictionPolicy {
 public:
  LfuDaPolicy(int32_t num_layers, int32_t num_experts)
      : EvictionPolicy(num_layers, num_experts), uses_(num_keys(), 0) {}
  const char* name() const override { return "lfu-da"; }

 protected:
  double PriorityOnAccess(size_t key, int64_t) override { return static_cast<double>(++uses_[key]) + age_; }
  double PriorityOnInsert(size_t key, double, int64_t) override {
    return static_cast<double>(uses_[key]) + age_;
  }
  void OnEvicted(size_t key, double priority) override {
    uses_[key] = 0;
    age_ = priority;
  }

 private:
  std::vector<int64_t> uses_;
  double age_ = 0.0;
};

constexpr EvictionRuleInfo kRules[] = {
    {EvictionRule::kLru, "lru", "least recently used"},
    {EvictionRule::kFrequency, "frequency", "least used of late (uses decay with a half-life)"},
    {EvictionRule::kLfuDa, "lfu-da", "least frequently used since it came, with dynamic aging"},
};

// A longer memory tells popular experts apart better where popularity is all there is, and is worse wherever
// a token tends to use what the one before used: docs/moe.md has the figures.
constexpr double kHalfLifePasses = 2.0;

}  // namespace

EvictionPolicy::EvictionPolicy(int32_t num_layers, int32_t num_experts)
    : num_layers_(num_layers), num_experts_(num_experts) {
  OX_CHECK(num_layers > 0 && num_experts > 0);
  nodes_.resize(static_cast<size_t>(num_layers) * static_cast<size_t>(num_experts));
  heap_.reserve(nodes_.size());
}

size_t EvictionPolicy::Index(ExpertId id) const {
  OX_CHECK(id.layer >= 0 && id.layer < num_layers_ && id.expert >= 0 && id.expert < num_experts_);
  return static_cast<size_t>(id.layer) * static_cast<size_t>(num_experts_) + static_cast<size_t>(id.expert);
}

double EvictionPolicy::PriorityOnInsert(size_t, double current, int64_t) { return current; }

void EvictionPolicy::OnAccess(ExpertId id) {
  const size_t key = Index(id);
  SetPriority(key, PriorityOnAccess(key, ++accesses_));
}

void EvictionPolicy::OnInsert(ExpertId id) {
  const size_t key = Index(id);
  Node& node = nodes_[key];
  OX_CHECK(!node.resident);
  node.resident = true;
  node.inserted = ++insertions_;
  node.priority = PriorityOnInsert(key, node.priority, accesses_);
  ++num_resident_;
  if (node.pins == 0) HeapInsert(key);
}

void EvictionPolicy::OnRemove(ExpertId id) {
  const size_t key = Index(id);
  Node& node = nodes_[key];
  OX_CHECK(node.resident);
  if (node.heap >= 0) HeapRemove(key);
  node.resident = false;
  --num_resident_;
}

void EvictionPolicy::Pin(ExpertId id) {
  const size_t key = Index(id);
  Node& node = nodes_[key];
  if (node.pins++ == 0 && node.heap >= 0) HeapRemove(key);
}

void EvictionPolicy::Unpin(ExpertId id) {
  const size_t key = Index(id);
  Node& node = nodes_[key];
  OX_CHECK(node.pins > 0);
  if (--node.pins == 0 && node.resident) HeapInsert(key);
}

std::optional<ExpertId> EvictionPolicy::Evict() {
  if (heap_.empty()) return std::nullopt;
  const auto key = static_cast<size_t>(heap_.front());
  HeapRemove(key);
  nodes_[key].resident = false;
  --num_resident_;
  OnEvicted(key, nodes_[key].priority);
  const auto experts = static_cast<size_t>(num_experts_);
  return ExpertId{static_cast<int32_t>(key / experts), static_cast<int32_t>(key % experts)};
}

void EvictionPolicy::SetPriority(size_t key, double priority) {
  Node& node = nodes_[key];
  node.priority = priority;
  if (node.heap >= 0) Sift(static_cast<size_t>(node.heap));
}

bool EvictionPolicy::Before(int32_t a, int32_t b) const {
  const Node& x = nodes_[static_cast<size_t>(a)];
  const Node& y = nodes_[static_cast<size_t>(b)];
  return x.priority < y.priority || (x.priority == y.priority && x.inserted < y.inserted);
}

void EvictionPolicy::HeapInsert(size_t key) {
  heap_.push_back(static_cast<int32_t>(key));
  nodes_[key].heap = static_cast<int32_t>(heap_.size()) - 1;
  Sift(heap_.size() - 1);
}

void EvictionPolicy::HeapRemove(size_t key) {
  const auto place = static_cast<size_t>(nodes_[key].heap);
  nodes_[key].heap = -1;
  const int32_t last = heap_.back();
  heap_.pop_back();
  if (place == heap_.size()) return;
  Place(place, last);
  Sift(place);
}

void EvictionPolicy::Place(size_t place, int32_t key) {
  heap_[place] = key;
  nodes_[static_cast<size_t>(key)].heap = static_cast<int32_t>(place);
}

// Moves the key at `place` up or down to where it belongs.
void EvictionPolicy::Sift(size_t place) {
  const int32_t key = heap_[place];
  while (place > 0 && Before(key, heap_[(place - 1) / 2])) {
    Place(place, heap_[(place - 1) / 2]);
    place = (place - 1) / 2;
  }
  for (size_t child; (child = 2 * place + 1) < heap_.size(); place = child) {
    if (child + 1 < heap_.size() && Before(heap_[child + 1], heap_[child])) ++child;
    if (!Before(heap_[child], key)) break;
    Place(place, heap_[child]);
  }
  Place(place, key);
}

std::span<const EvictionRuleInfo> EvictionRules() { return kRules; }

const char* Name(EvictionRule rule) { return kRules[static_cast<size_t>(rule)].name; }

std::optional<EvictionRule> ParseEvictionRule(std::string_view name) {
  for (const EvictionRuleInfo& row : kRules) {
    if (name == row.name) return row.rule;
  }
  return std::nullopt;
}

std::unique_ptr<EvictionPolicy> MakeFrequencyPolicy(int32_t num_layers, int32_t num_experts,
                                                    double half_life) {
  const double passes = static_cast<double>(num_layers) * num_experts;
  return std::make_unique<FrequencyPolicy>(num_layers, num_experts, half_life * passes);
}

std::unique_ptr<EvictionPolicy> MakeEvictionPolicy(EvictionRule rule, int32_t num_layers,
                                                   int32_t num_experts) {
  switch (rule) {
    case EvictionRule::kLru:
      return std::make_unique<LruPolicy>(num_layers, num_experts);
    case EvictionRule::kFrequency:
      return MakeFrequencyPolicy(num_layers, num_experts, kHalfLifePasses);
    case EvictionRule::kLfuDa:
      return std::make_unique<LfuDaPolicy>(num_layers, num_experts);
  }
  OX_CHECK(false);
  return nullptr;
}

}  // namespace oxidized
