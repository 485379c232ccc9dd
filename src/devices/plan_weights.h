// The part of a plan that is the same on every device whose memory is the process's own: what the weights
// take as they are stored, and what one token reads of them.
#pragma once

#include "checkpoint/checkpoint.h"
#include "devices/device.h"
#include "experts/expert_file_map.h"

namespace oxidized {

// Converted when the model was opened, or made in memory.
bool LiesInNoFile(const Checkpoint& checkpoint, const std::byte* data);

// Fills everything of `in` but slots, KV, activations and speeds. `map` is of the same checkpoint.
void PlanWeights(const Checkpoint& checkpoint, const ExpertFileMap& map, const DeviceOptions& options,
                 PlanInput& in);

// How fast memory is for so many threads, and the disk that the experts lie on; `plan` says what a token
// reads. Takes a second for a large model.
void MeasureSpeeds(const ExpertFileMap& map, int threads, DevicePlan& plan);

}  // namespace oxidized
