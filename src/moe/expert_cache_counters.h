// What a cache of experts did, counted per layer: filled by the expert store (and by `moe simulate` in its
// place), read by the reports. Plain numbers that only grow; the difference of two snapshots is an interval.
#pragma once

#include <cstdint>
#include <vector>

namespace oxidized {

// A use is a hit, late or a miss; docs/moe.md has the definitions.
struct ExpertCacheLayer {
  int64_t hits = 0;           // resident when asked for, prefetched ones included
  int64_t late = 0;           // being read already, because of a guess: waited for the rest
  int64_t misses = 0;         // nobody had asked before
  int64_t prefetches = 0;     // reads begun before the router asked
  int64_t prefetch_hits = 0;  // of these, the ones used before they were evicted: hits, or late
  int64_t evictions = 0;
  int64_t bytes_read = 0;           // demand reads and prefetches
  double stall_microseconds = 0.0;  // time in which compute waited for reads

  int64_t uses() const { return hits + late + misses; }
  double hit_rate() const {
    return uses() > 0 ? static_cast<double>(hits) / static_cast<double>(uses()) : 0.0;
  }

  void Add(const ExpertCacheLayer& other) {
    hits += other.hits;
    late += other.late;
    misses += other.misses;
    prefetches += other.prefetches;
    prefetch_hits += other.prefetch_hits;
    evictions += other.evictions;
    bytes_read += other.bytes_read;
    stall_microseconds += other.stall_microseconds;
  }
};

struct ExpertCacheCounters {
  std::vector<ExpertCacheLayer> layers;  // [L]; empty: every expert is resident and nothing is counted
  int64_t resident_experts = 0;          // now, of all layers
  int64_t resident_bytes = 0;
  int64_t budget_experts = 0;  // slots of the pool

  ExpertCacheLayer Total() const {
    ExpertCacheLayer total;
    for (const ExpertCacheLayer& layer : layers) total.Add(layer);
    return total;
  }
};

}  // namespace oxidized
