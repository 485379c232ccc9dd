#include "executor/cuda/shared_memory.h"

#include <algorithm>

#include "base/error.h"
#include "kernels/cuda/schedule.h"

namespace oxidized::cuda {

SharedMemory SharedMemoryOf(const ModelConfig& c, const DeviceWeights& weights) {
  const ModelArgs& m = weights.model();
  const int parts = PartsOf(m.arithmetic);
  int64_t most = 4 * int64_t{std::max({AttentionFloats(c.heads_per_kv(), c.head_dim),
                                       RoutingInts(c.most_experts()), c.hidden_size})};
  int planes = 1, unit_bytes = 0;
  for (const Matrix* matrix : weights.matrices()) {
    most = std::max<int64_t>(most, InputBytes(matrix->cols, parts) + 2 * 4 * PassFloats(matrix->chunks));
    planes = std::max(planes, matrix->planes);
    unit_bytes = std::max(unit_bytes, matrix->unit_bytes);
  }
  if (most > kMostShared) {
    throw Error(
        ErrorKind::kUnsupported,
        {.component = "cuda",
         .found = fmt::format("this model's shapes want {} bytes of shared memory a block, {} are there",
                              most, kMostShared),
         .remedies = {{Setting::kDevice, "use {} cpu"}}});
  }
  SharedMemory shared;
  shared.ring_at = RoundUp(static_cast<int>(most), 128);
  shared.slot_bytes = unit_bytes;
  if (parts == 1 && planes == 1)
    shared.slots = std::clamp((kMostShared - shared.ring_at) / RingBytes(1, unit_bytes), 0, kMostSlots);
  shared.bytes = shared.ring_at + RingBytes(shared.slots, unit_bytes);
  return shared;
}

}  // namespace oxidized::cuda
