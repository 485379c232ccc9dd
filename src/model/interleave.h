// Weights rearranged for 8-bit activations: rows of MXFP4 experts and of dense Q8_0 interleaved where they
// lie (tensor/interleaved.h). By the runtime, once, before the first step, where weights lie in memory of our
// own.
#pragma once

#include <cstdint>
#include <functional>

#include "model/weights.h"
#include "parallel/thread_team.h"

namespace oxidized {

// What lies in memory that may be written.
struct Interleavable {
  bool dense = false, experts = false;
};

// Interleaves every matrix that can be, and says so in its view: MXFP4 of whose scales none is special (half
// of it must be a normal number) and Q8_0, 32 rows or a multiple of it, gate and up alike; not a tied
// unembedding. Others stay as they are. Products give the same bits. `progress` gets bytes done and in all;
// it may throw, which leaves the weights unusable. Returns the bytes of what was interleaved.
int64_t InterleaveRows(WeightsView& weights, Interleavable what, ThreadTeam& team,
                       const std::function<void(int64_t done, int64_t total)>& progress = {});

}  // namespace oxidized
