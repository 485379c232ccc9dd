// How a block's shared memory is divided for a model.
#pragma once

#include "executor/cuda/cuda_weights.h"
#include "model/model_config.h"

namespace oxidized::cuda {

inline constexpr int kMostShared = 232448 - 8192;  // of a block, less what the kernel has statically

// What every phase fits into, and behind it the rings, where there is room: in bf16, if no matrix is a sum.
struct SharedMemory {
  int bytes = 0, ring_at = 0, slots = 0, slot_bytes = 0;
};
// Throws Error(kUnsupported) for shapes that do not fit.
SharedMemory SharedMemoryOf(const ModelConfig& config, const DeviceWeights& weights);

}  // namespace oxidized::cuda
