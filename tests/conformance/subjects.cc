#include "conformance/subjects.h"

#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "base/log.h"
#include "devices/device.h"
#include "executor/cpu/cpu_executor.h"
#include "executor/testing/conformance/models.h"
#include "executor/testing/queued_executor.h"
#include "kernels/cpu/cpu_kernels.h"
#ifdef OXIDIZED_HAS_CUDA
#include "executor/cuda/cuda_executor.h"
#endif

namespace oxidized::conformance {
namespace {

// What a row is asked to compute in; one that it refuses is none of its.
struct Arithmetic {
  const char* name;
  Precision precision;
  ActivationType activations;
};
constexpr Arithmetic kArithmetic[] = {
    {"f32", Precision::kF32, ActivationType::kAsPrecision},
    {"bf16", Precision::kBf16, ActivationType::kAsPrecision},
    {"f16", Precision::kF16, ActivationType::kAsPrecision},
    {"int8", Precision::kBf16, ActivationType::kInt8},
};

Subject OfRow(const DeviceRow& row, const std::string& name, const DeviceOptions& options) {
  Subject subject;
  subject.name = name;
  subject.open = [&row, options](const ModelConfig& config, const WeightsView& weights,
                                 const ExecutorLimits& limits) {
    // A model made in memory is a checkpoint without files.
    auto checkpoint = std::make_shared<Checkpoint>();
    checkpoint->config = config;
    checkpoint->weights = weights;
    checkpoint->path = "a model of the conformance suite";
    DeviceOptions all = options;
    all.limits = limits;
    std::shared_ptr<OpenDevice> device = row.open(std::move(checkpoint), all);
    Executor* executor = &device->executor();
    return OpenedExecutor{std::move(device), executor};
  };
#ifdef OXIDIZED_HAS_CUDA
  if (row.name == std::string_view("cuda")) subject.fail_next_step = FailNextCudaStep;
#endif
  return subject;
}

bool Opens(const Subject& subject) {
  try {
    subject.open(MainModel().config, MainModel().weights, {.max_context = 64});
    return true;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kUsage && error.kind() != ErrorKind::kUnsupported) throw;
    return false;
  }
}

// "", or what only one row has: its kernels by name.
std::vector<std::string> TiersOf(const DeviceRow& row) {
  if (row.name != std::string_view("cpu")) return {""};
  std::vector<std::string> tiers;
  for (const CpuTier& tier : CpuTiers()) {
    if (tier.available) tiers.push_back(tier.kernels->name);
  }
  return tiers;
}

// A queue two steps deep on a thread of its own, as a GPU's is.
Subject Queued() {
  Subject subject;
  subject.name = "queued_f32";
  subject.open = [](const ModelConfig& config, const WeightsView& weights, const ExecutorLimits& limits) {
    std::shared_ptr<Executor> executor = std::make_shared<QueuedExecutor>(
        MakeCpuExecutor(config, weights, {.limits = limits, .precision = Precision::kF32, .threads = 1}));
    Executor* raw = executor.get();
    return OpenedExecutor{std::move(executor), raw};
  };
  return subject;
}

}  // namespace

std::vector<Subject> Subjects() {
  std::vector<Subject> subjects;
  for (const DeviceRow& row : Devices()) {
    for (const DeviceInstance& instance : row.available().instances) {
      for (const std::string& tier : TiersOf(row)) {
        for (const Arithmetic& arithmetic : kArithmetic) {
          DeviceOptions options;
          options.instance = instance.index;
          options.precision = arithmetic.precision;
          options.activations = arithmetic.activations;
          options.tier = tier;
          std::string name = row.name;
          if (instance.index > 0) name += std::to_string(instance.index);
          if (!tier.empty()) name += "_" + tier;
          Subject subject = OfRow(row, name + "_" + arithmetic.name, options);
          if (Opens(subject)) subjects.push_back(std::move(subject));
        }
      }
    }
  }
  subjects.push_back(Queued());
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
