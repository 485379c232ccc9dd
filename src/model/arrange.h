// Weights rearranged where they lie, into forms that products read faster and that no file has. By a
// device, once, before its executor exists, where weights lie in memory of our own. Products give the same
// bits.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "model/weights.h"
#include "parallel/thread_team.h"

namespace oxidized {

// What is to be rearranged into which form.
struct Arrangements {
  bool interleave_dense = false;          // rows of dense Q8_0, for 8-bit activations (tensor/interleaved.h)
  std::optional<ExpertLayout> experts{};  // a layout that no file has; nullopt: as stored

  bool any() const { return interleave_dense || experts.has_value(); }
  // Of the experts if these are, else of dense weights: "grouped", "interleaved", "stored".
  const char* name() const;
};

// Arranges every matrix that can be, in memory that may be written, and says so in its view. Others stay as
// they are: experts that are not MXFP4 as files have it, or with rows or scales that their new layout does
// not take (its row in tensor/expert_layout.h), gate and up alike; dense ones with rows that are not a
// multiple of 32, and a tied unembedding. `progress` gets bytes done and in all; it may throw, which leaves
// the weights unusable. Returns the bytes of what was arranged.
int64_t ArrangeWeights(const Arrangements& how, WeightsView& weights, ThreadTeam& team,
                       const std::function<void(int64_t done, int64_t total)>& progress = {});

}  // namespace oxidized
