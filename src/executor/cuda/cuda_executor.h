// The executor for NVIDIA GPUs of compute capability 9.0: weights packed on the card, a step as one kernel
// whose blocks go from phase to phase together (kernels/cuda/phases.cuh), tokens that stay on the card.
// Results depend on the precision alone, never on chunks or batch mates (docs/cuda.md).
#pragma once

#include <functional>
#include <memory>

#include "executor/executor.h"
#include "executor/limits.h"
#include "model/weights.h"
#include "tensor/precision.h"

namespace oxidized {

struct CudaExecutorOptions {
  ExecutorLimits limits;
  int32_t card = 0;
  Precision precision = Precision::kAuto;
  // Bytes on the card done and in all. May be empty; may throw, which ends the making.
  std::function<void(int64_t done, int64_t total)> progress = {};
};

// What it takes of the card's memory, from shapes alone. Throws Error(kUsage, kUnsupported).
struct CudaMemoryNeed {
  int64_t dense_bytes = 0, expert_bytes = 0, kv_bytes = 0, activation_bytes = 0;
  int64_t decode_dense_bytes = 0, decode_expert_bytes = 0;  // read for one token
};
CudaMemoryNeed EstimateCudaMemory(const ModelConfig& config, const WeightsView& weights,
                                  const CudaExecutorOptions& options);

// `weights` are read here and not later. Throws Error(kUsage, kNoMemory, kUnsupported).
std::unique_ptr<Executor> MakeCudaExecutor(const ModelConfig& config, const WeightsView& weights,
                                           const CudaExecutorOptions& options);

// For tests: the next step submitted to this executor, which MakeCudaExecutor made, fails as a whole.
void FailNextCudaStep(Executor& executor);

}  // namespace oxidized
