// The executable specification of gpt-oss: scalar, f32, one thread, written to be read. Every kernel, tier
// and device is compared with it; nobody should wait for it.
#pragma once

#include <memory>

#include "executor/executor.h"
#include "executor/limits.h"
#include "model/weights.h"

namespace oxidized {

// What it would hold beside the weights: KV of the whole context, values of the largest step.
struct ReferenceMemoryNeed {
  int64_t kv_bytes = 0;
  int64_t activation_bytes = 0;
};
// Throws Error(kUsage).
ReferenceMemoryNeed EstimateReferenceMemory(const ModelConfig& config, const ExecutorLimits& limits);

// `weights` must outlive the executor. Values, KV and activations are f32; dot products accumulate in f64, so
// that the reference's own rounding never hides a kernel's error. Throws Error(kUsage, kNoMemory).
std::unique_ptr<Executor> MakeReferenceExecutor(const ModelConfig& config, const WeightsView& weights,
                                                const ExecutorLimits& limits);

}  // namespace oxidized
