// The executor for CPUs: all cores, the best instruction tier, weights as stored. Computes what
// executor/reference defines; results depend on the tier and the precision alone, never on threads, chunks or
// batch mates.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "executor/executor.h"
#include "executor/limits.h"
#include "kernels/cpu/cpu_kernels.h"
#include "model/arrange.h"
#include "model/packed_dense.h"
#include "model/weights.h"
#include "moe/expert_source.h"

namespace oxidized {

// f32: activations and KV in f32. bf16, f16: inputs of dense and expert products and the KV cache rounded to
// 16 bits; router, norms, softmax, rotation, accumulation and residual in f32. Weights are always taken as
// stored, so that f16 converts none and overflows nowhere.
enum class CpuPrecision : uint8_t { kF32, kBf16, kF16 };
const char* Name(CpuPrecision precision);
std::optional<CpuPrecision> ParseCpuPrecision(std::string_view name);

// Inputs of products. kInt8 is lossy (docs/numerics.md): 8 bits and a scale for each 32 values, for experts
// in MXFP4 and dense weights in Q8_0; all else stays as the precision says.
enum class CpuActivationType : uint8_t { kAsPrecision, kInt8 };

struct CpuExecutorOptions {
  ExecutorLimits limits;
  CpuPrecision precision = CpuPrecision::kBf16;
  CpuActivationType activations = CpuActivationType::kAsPrecision;
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

// `weights` must outlive the executor; ArrangeWeights may rearrange them before its first step. Throws
// Error(kUsage, kNoMemory).
std::unique_ptr<Executor> MakeCpuExecutor(const ModelConfig& config, const WeightsView& weights,
                                          const CpuExecutorOptions& options);

}  // namespace oxidized
