// What a cache of experts did, counted per layer: filled by the expert store (and by `moe simulate` in its
// place), read by the reports. Plain numbers that only grow; the difference of two snapshots is an interval.
#pragma once

#include <cstdint>
#include <vector>

namespace oxidized {

struct ExpertCacheLayer {
  int64_t hits = 0;           // uses that found the expert resident, prefetched ones included
  int64_t misses = 0;         // uses that had to wait for a read, or for the rest of one under way
  int64_t prefetches = 0;     // reads begun before the router asked
  int64_t prefetch_hits = 0;  // of these, the ones used before they were evicted: hits, or late and so misses
  int64_t evictions = 0;
  int64_t bytes_read = 0;           // demand reads and prefetches
  double stall_microseconds = 0.0;  // time in which compute waited for reads

  void Add(const ExpertCacheLayer& other) {
    hits += other.hits;
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
