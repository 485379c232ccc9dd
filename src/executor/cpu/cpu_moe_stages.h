// MoeStages with the CPU executor's kernels, grouping and products. Made by model_host/moe_stages.cc.
#pragma once

#include <memory>

#include "executor/cpu/cpu_executor.h"
#include "executor/moe_stages.h"

namespace oxidized {

// `options`: precision, threads and kernels count, the rest does not. `weights` must outlive the stages, and
// all experts must be in memory.
std::unique_ptr<MoeStages> MakeCpuMoeStages(const ModelConfig& config, const WeightsView& weights,
                                            const CpuExecutorOptions& options, int64_t max_tokens);

}  // namespace oxidized
