// Replays a run's need of experts against a cache of a given size: the ExpertStore without its bytes. The
// rules of eviction are the store's own objects; Belady's optimum, which knows the future, is here alone.
#pragma once

#include <cstdint>
#include <optional>

#include "moe/access_stream.h"
#include "moe/eviction_policy.h"
#include "moe/expert_cache_counters.h"

namespace oxidized {

struct SimulatedCache {
  std::optional<EvictionRule> rule;  // nullopt: Belady's optimum
  int64_t slots = 1;                 // experts that fit, of all layers
  // A guess at the next layer's experts, as the store makes it while a layer computes: each expert that will
  // be needed is guessed with this probability, and another one in its place otherwise. Negative: no
  // prefetching.
  double prefetch_recall = -1.0;
  uint64_t seed = 0;       // of the guesses
  double half_life = 0.0;  // of EvictionRule::kFrequency; 0: the store's own
};

// Counts uses (hits + misses) and reads (misses + prefetches). Reads take no time, so a guess always comes in
// time: what is late in the store is a hit here.
ExpertCacheCounters SimulateCache(const AccessStream& stream, const SimulatedCache& cache);

}  // namespace oxidized
