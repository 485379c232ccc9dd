// What each stage of a step cost.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "executor/cuda/cuda_weights.h"
#include "executor/step_batch.h"
#include "model/model_config.h"

namespace oxidized::cuda {

// Times by the clock of one multiprocessor (StepArgs::clocks), as shares of the `microseconds` that the step
// took in all; bytes of weights, keys and values that had to be read, an expert's once; operations of
// products.
void ReportStages(const ModelConfig& config, const DeviceWeights& weights, const StepArgs& args,
                  std::span<const int64_t> positions, const RoutingObservation& routing,
                  const int64_t* clocks, double microseconds, std::vector<StageCost>& out);

}  // namespace oxidized::cuda
