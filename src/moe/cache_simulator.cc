#include "moe/cache_simulator.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "base/error.h"
#include "base/rng.h"

namespace oxidized {
namespace {

// Belady 1966: the victim is the expert whose next use lies furthest ahead. Least possible misses for a cache
// that must bring in what is used (Mattson et al. 1970).
class BeladyPolicy final : public EvictionPolicy {
 public:
  using EvictionPolicy::EvictionPolicy;
  const char* name() const override { return "belady"; }
  void NextUse(int64_t request) { next_use_ = request; }  // of the expert accessed next

 protected:
  double PriorityOnAccess(size_t, int64_t) override { return -static_cast<double>(next_use_); }

 private:
  int64_t next_use_ = 0;
};

// For every use, the request that uses the same expert next.
std::vector<uint32_t> NextUses(const AccessStream& stream) {
  constexpr uint32_t kNever = std::numeric_limits<uint32_t>::max();
  const auto experts = static_cast<size_t>(stream.shape().num_experts);
  std::vector<uint32_t> next(static_cast<size_t>(stream.uses()), kNever);
  std::vector<uint32_t> seen(static_cast<size_t>(stream.shape().num_layers) * experts, kNever);
  const auto requests = stream.requests();
  for (size_t r = requests.size(); r-- > 0;) {
    for (uint32_t i = requests[r].begin; i < requests[r].end; ++i) {
      const uint16_t expert = stream.experts(requests[r])[i - requests[r].begin];
      uint32_t& last = seen[static_cast<size_t>(requests[r].layer) * experts + expert];
      next[i] = last;
      last = static_cast<uint32_t>(r);
    }
  }
  return next;
}

class Simulator {
 public:
  Simulator(const AccessStream& stream, const SimulatedCache& cache) : stream_(stream), cache_(cache) {
    const RoutingShape& shape = stream.shape();
    OX_CHECK(cache.slots > 0);
    if (!cache.rule) {
      auto belady = std::make_unique<BeladyPolicy>(shape.num_layers, shape.num_experts);
      belady_ = belady.get();
      policy_ = std::move(belady);
      next_uses_ = NextUses(stream);
    } else if (*cache.rule == EvictionRule::kFrequency && cache.half_life > 0.0) {
      policy_ = MakeFrequencyPolicy(shape.num_layers, shape.num_experts, cache.half_life);
    } else {
      policy_ = MakeEvictionPolicy(*cache.rule, shape.num_layers, shape.num_experts);
    }
    prefetched_.assign(static_cast<size_t>(shape.num_layers) * static_cast<size_t>(shape.num_experts), false);
    counters_.layers.resize(static_cast<size_t>(shape.num_layers));
  }

  ExpertCacheCounters Run() {
    const auto requests = stream_.requests();
    for (size_t r = 0; r < requests.size(); ++r) {
      Serve(requests[r]);
      if (cache_.prefetch_recall >= 0.0 && r + 1 < requests.size()) Prefetch(requests[r + 1]);
      for (const ExpertId id : pinned_) policy_->Unpin(id);
      pinned_.clear();
    }
    counters_.resident_experts = policy_->num_resident();
    counters_.resident_bytes = counters_.resident_experts * stream_.expert_bytes();
    counters_.budget_experts = cache_.slots;
    return std::move(counters_);
  }

 private:
  ExpertCacheLayer& Count(ExpertId id) { return counters_.layers[static_cast<size_t>(id.layer)]; }
  size_t Key(ExpertId id) const {
    return static_cast<size_t>(id.layer) * static_cast<size_t>(stream_.shape().num_experts) +
           static_cast<size_t>(id.expert);
  }

  // As ExpertStore::Request: what is wanted and there is pinned before anything makes room.
  void Serve(const AccessStream::Request& request) {
    const auto experts = stream_.experts(request);
    for (size_t i = 0; i < experts.size(); ++i) {
      const ExpertId id{request.layer, experts[i]};
      if (belady_ != nullptr) belady_->NextUse(next_uses_[request.begin + i]);
      policy_->OnAccess(id);
      if (!policy_->resident(id)) continue;
      policy_->Pin(id);
      pinned_.push_back(id);
    }
    for (const ExpertId id : hinted_) policy_->Unpin(id);
    hinted_.clear();
    missing_.clear();
    for (const uint16_t expert : experts) {
      const ExpertId id{request.layer, expert};
      if (!policy_->resident(id)) {
        missing_.push_back(id);
        continue;
      }
      ++Count(id).hits;
      if (prefetched_[Key(id)]) ++Count(id).prefetch_hits;
      prefetched_[Key(id)] = false;
    }
    for (const ExpertId id : missing_) {
      ++Count(id).misses;
      if (!MakeRoom()) {  // a request larger than the cache is served in portions
        for (const ExpertId done : pinned_) policy_->Unpin(done);
        pinned_.clear();
        OX_CHECK(MakeRoom());
      }
      Insert(id);
      policy_->Pin(id);
      pinned_.push_back(id);
    }
  }

  void Prefetch(const AccessStream::Request& next) {
    const int32_t experts = stream_.shape().usable_experts;
    for (const uint16_t needed : stream_.experts(next)) {
      ExpertId id{next.layer, needed};
      const uint64_t draw = draws_++;
      if (RandomUniform(cache_.seed, 0, draw) >= cache_.prefetch_recall)
        id.expert = static_cast<int32_t>(RandomUniform(cache_.seed, 1, draw) * experts);
      const bool resident = policy_->resident(id);
      if (!resident && !MakeRoom()) return;
      policy_->Pin(id);
      hinted_.push_back(id);
      if (resident) continue;
      Insert(id);
      ++Count(id).prefetches;
      prefetched_[Key(id)] = true;
    }
  }

  bool MakeRoom() {
    if (policy_->num_resident() < cache_.slots) return true;
    const auto victim = policy_->Evict();
    if (!victim) return false;
    ++Count(*victim).evictions;
    prefetched_[Key(*victim)] = false;
    return true;
  }

  void Insert(ExpertId id) {
    policy_->OnInsert(id);
    Count(id).bytes_read += stream_.expert_bytes();
  }

  const AccessStream& stream_;
  const SimulatedCache& cache_;
  std::unique_ptr<EvictionPolicy> policy_;
  BeladyPolicy* belady_ = nullptr;
  std::vector<uint32_t> next_uses_;  // [uses], for Belady alone
  std::vector<bool> prefetched_;     // [L * E] read ahead and not used since
  std::vector<ExpertId> pinned_, hinted_, missing_;
  uint64_t draws_ = 0;
  ExpertCacheCounters counters_;
};

}  // namespace

ExpertCacheCounters SimulateCache(const AccessStream& stream, const SimulatedCache& cache) {
  return Simulator(stream, cache).Run();
}

}  // namespace oxidized
