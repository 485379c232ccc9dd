// Weights rearranged where they lie, into forms that products read faster and that no file has. By a
// device, once, before its executor exists, where weights lie in memory of our own. Products give the same
// bits.
#pragma once

#include <cstdint>
#include <functional>

#include "model/weights.h"
#include "parallel/thread_team.h"

namespace oxidized {

enum class Arrangement : uint8_t {
  kAsStored,
  kInterleaved,  // for 8-bit activations: rows of MXFP4 experts and of dense Q8_0 (tensor/interleaved.h)
  kGrouped,      // for bf16 activations: blocks of MXFP4 experts (tensor/grouped_mxfp4.h)
};

const char* Name(Arrangement arrangement);  // "stored", "interleaved", "grouped"

struct Arrangements {
  Arrangement dense = Arrangement::kAsStored;  // or kInterleaved
  Arrangement experts = Arrangement::kAsStored;
};

// Arranges every matrix that can be, in memory that may be written, and says so in its view. Others stay as
// they are: experts that are not MXFP4, or with a scale for which the products want care (kInterleaved: half
// of it is no normal number; kGrouped: bf16 does not hold all its values), gate and up alike; for
// kInterleaved rows that are not a multiple of 32, and a tied unembedding. `progress` gets bytes done and in
// all; it may throw, which leaves the weights unusable. Returns the bytes of what was arranged.
int64_t ArrangeWeights(const Arrangements& how, WeightsView& weights, ThreadTeam& team,
                       const std::function<void(int64_t done, int64_t total)>& progress = {});

}  // namespace oxidized
