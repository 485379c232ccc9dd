// The executor for CPUs: all cores, the best instruction tier, weights as stored. Computes what
// executor/reference defines; results depend on the tier and the precision alone, never on threads, chunks or
// batch mates.
#pragma once

#include <memory>

#include "executor/executor.h"
#include "executor/limits.h"
#include "kernels/cpu/cpu_kernels.h"
#include "model/arrange.h"
#include "model/packed_dense.h"
#include "model/weights.h"
#include "moe/expert_source.h"
#include "tensor/precision.h"

namespace oxidized {

struct CpuExecutorOptions {
  ExecutorLimits limits;
  // Weights are always taken as stored, so that f16 converts none and overflows nowhere.
  Precision precision = Precision::kBf16;
  ActivationType activations = ActivationType::kAsPrecision;
  int threads = 0;                      // 0: one for each core this process may use
  const CpuKernels* kernels = nullptr;  // nullptr: SelectCpuKernels()
  ExpertSource* experts = nullptr;      // nullptr: every expert is in memory; must outlive the executor
  // Dense weights in 12 bits, read instead of those in `weights`: same bits, fewer bytes. nullptr: none.
  std::shared_ptr<const PackedDense> packed = {};
};

// What an executor with these options would hold beside the weights: KV of the whole context (pages are taken
// as tokens come), activations of the largest step. Reserves nothing that lasts. Throws Error(kUsage).
struct CpuMemoryNeed {
  int64_t kv_bytes = 0;
  int64_t activation_bytes = 0;
};
CpuMemoryNeed EstimateCpuMemory(const ModelConfig& config, const WeightsView& weights,
                                const CpuExecutorOptions& options);

// How weights in memory of our own should lie for an executor with these options. Throws Error(kUsage).
Arrangements BestArrangements(const WeightsView& weights, const CpuExecutorOptions& options);

// `weights` must outlive the executor, arranged already where they are to be. Throws Error(kUsage,
// kNoMemory).
std::unique_ptr<Executor> MakeCpuExecutor(const ModelConfig& config, const WeightsView& weights,
                                          const CpuExecutorOptions& options);

}  // namespace oxidized
