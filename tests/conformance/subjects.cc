#include "conformance/subjects.h"

#include <cstdlib>
#include <string_view>

#include "executor/cpu/cpu_executor.h"
#include "executor/reference/reference_executor.h"
#include "executor/testing/queued_executor.h"

namespace oxidized::conformance {
namespace {

OpenedExecutor Opened(std::unique_ptr<Executor> executor) {
  Executor* raw = executor.get();
  return {std::shared_ptr<Executor>(std::move(executor)), raw};
}

}  // namespace

std::vector<Subject> Subjects() {
  std::vector<Subject> subjects;
  subjects.push_back(
      {.name = "reference",
       .open =
           [](const ModelConfig& config, const WeightsView& weights, const ExecutorLimits& limits) {
             return Opened(MakeReferenceExecutor(config, weights, limits));
           },
       .fail_next_step = {}});
  for (const CpuTier& tier : CpuTiers()) {
    if (!tier.available) continue;
    struct Arithmetic {
      const char* name;
      CpuPrecision precision;
      CpuActivationType activations;
    };
    for (const Arithmetic& a : {Arithmetic{"f32", CpuPrecision::kF32, CpuActivationType::kAsPrecision},
                                Arithmetic{"bf16", CpuPrecision::kBf16, CpuActivationType::kAsPrecision},
                                Arithmetic{"f16", CpuPrecision::kF16, CpuActivationType::kAsPrecision},
                                Arithmetic{"int8", CpuPrecision::kBf16, CpuActivationType::kInt8}}) {
      subjects.push_back(
          {.name = std::string("cpu_") + tier.kernels->name + "_" + a.name,
           .open =
               [kernels = tier.kernels, a](const ModelConfig& config, const WeightsView& weights,
                                           const ExecutorLimits& limits) {
                 return Opened(MakeCpuExecutor(config, weights,
                                               {.limits = limits,
                                                .precision = a.precision,
                                                .activations = a.activations,
                                                .threads = 2,
                                                .kernels = kernels}));
               },
           .fail_next_step = {}});
    }
  }
  // Two steps deep, on a thread of its own, as a GPU's queue is.
  subjects.push_back({.name = "cpu_queued_f32",
                      .open =
                          [](const ModelConfig& config, const WeightsView& weights,
                             const ExecutorLimits& limits) {
                            return Opened(std::make_unique<QueuedExecutor>(MakeCpuExecutor(
                                config, weights,
                                {.limits = limits, .precision = CpuPrecision::kF32, .threads = 1})));
                          },
                      .fail_next_step = {}});
  return subjects;
}

Effort EffortHere() {
#ifdef OXIDIZED_BRIEF_CONFORMANCE
  return Effort::kBrief;
#else
  const char* asked = std::getenv("OXIDIZED_CONFORMANCE");
  return asked != nullptr && std::string_view(asked) == "full" ? Effort::kFull : Effort::kUsual;
#endif
}

}  // namespace oxidized::conformance
