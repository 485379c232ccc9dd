#include "model_host/cpu_options.h"

#include "parallel/cpu_topology.h"

namespace oxidized {
namespace {

// What "auto" means: the 16-bit type that the dense weights are stored in, so that nothing of them is lost.
CpuPrecision CpuPrecisionOf(Precision precision, const Checkpoint& checkpoint) {
  switch (precision) {
    case Precision::kF32:
      return CpuPrecision::kF32;
    case Precision::kBf16:
      return CpuPrecision::kBf16;
    case Precision::kF16:
      return CpuPrecision::kF16;
    case Precision::kAuto:
      break;
  }
  switch (checkpoint.weights.unembedding.dtype) {
    case DType::kF32:
      return CpuPrecision::kF32;
    case DType::kF16:
      return CpuPrecision::kF16;
    default:
      return CpuPrecision::kBf16;
  }
}

}  // namespace

ExecutorLimits LimitsOf(const RuntimeOptions& options) {
  ExecutorLimits limits;
  limits.max_context = options.context;
  limits.max_sequences = options.max_sequences;
  return limits;
}

int ThreadsOf(const RuntimeOptions& options) {
  return options.threads > 0 ? options.threads : DetectCpuTopology().DefaultThreads();
}

CpuExecutorOptions CpuOptionsOf(const RuntimeOptions& options, const Checkpoint& checkpoint) {
  CpuExecutorOptions cpu;
  cpu.limits = LimitsOf(options);
  cpu.precision = CpuPrecisionOf(options.precision, checkpoint);
  if (options.activations == ActivationType::kInt8) cpu.activations = CpuActivationType::kInt8;
  cpu.threads = options.threads;
  return cpu;
}

}  // namespace oxidized
