#include "devices/reference/reference_device.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/process.h"
#include "checkpoint/map_again.h"
#include "devices/own_weights.h"
#include "devices/plan_weights.h"
#include "executor/reference/reference_executor.h"

namespace oxidized {
namespace {

void RefuseWhatItHasNot(const DeviceOptions& options) {
  const Remedy other{Setting::kDevice, "use {} cpu"};
  const auto refuse = [](Fault fault) { throw Error(ErrorKind::kUsage, std::move(fault)); };
  if (options.experts.budget) {
    refuse({.setting = Setting::kExpertMemory,
            .found = "the reference executor wants every expert in memory",
            .remedies = {other}});
  }
  if (options.precision != Precision::kAuto && options.precision != Precision::kF32) {
    refuse({.setting = Setting::kPrecision,
            .found = "the reference executor computes in f32 only",
            .remedies = {{Setting::kPrecision, "use {} f32"}, other}});
  }
  if (options.activations == ActivationType::kInt8) {
    refuse({.setting = Setting::kActivations,
            .value = "int8",
            .found = "the reference executor computes in f32",
            .remedies = {other}});
  }
  if (options.pack_dense || !options.packed_weights.empty()) {
    refuse({.setting = options.pack_dense ? Setting::kPackWeights : Setting::kPackedWeights,
            .found = "the reference executor takes weights as stored",
            .remedies = {other}});
  }
  if (options.threads > 1) {
    refuse({.setting = Setting::kThreads,
            .found = "the reference executor runs on one thread",
            .remedies = {{Setting::kThreads, "leave out {}"}, other}});
  }
}

class ReferenceDevice final : public OpenDevice {
 public:
  ReferenceDevice(std::shared_ptr<const Checkpoint> model, const DeviceOptions& options)
      : model_(std::move(model)) {
    RefuseWhatItHasNot(options);
    if (!options.use_mmap) {
      mine_ = std::make_unique<Checkpoint>(MapAgain(*model_));
      OwnWeights(mine_->files, {.model = mine_->path.string(),
                                .unread = mine_->decoded.sources,
                                .beside_bytes = kHeapBytes,
                                .remedy = MapInstead(),
                                .progress = [&options](int64_t done, int64_t total) {
                                  if (options.progress) options.progress(PrepareStage::kReading, done, total);
                                }});
    }
    const Checkpoint& checkpoint = mine_ != nullptr ? *mine_ : *model_;
    executor_ = MakeReferenceExecutor(checkpoint.config, checkpoint.weights, options.limits);
  }

  Executor& executor() override { return *executor_; }
  const DeviceReport& report() const override { return report_; }

 private:
  const std::shared_ptr<const Checkpoint> model_;
  std::unique_ptr<Checkpoint> mine_;  // nullptr: weights stay mapped
  const DeviceReport report_;
  std::unique_ptr<Executor> executor_;
};

DeviceAvailability Available() {
  DeviceInstance cpu;
  cpu.name = "CPU, scalar, one thread";
  cpu.memory_bytes = TotalMemoryBytes();
  if (const auto limit = ReadMemoryLimit()) cpu.memory_bytes = std::min(cpu.memory_bytes, limit->limit_bytes);
  cpu.available_bytes = AvailableMemoryBytes();
  return {{cpu}, "", {}};
}

DType DecodedTo(const DeviceOptions&) { return DType::kF32; }

DevicePlan Plan(const Checkpoint& checkpoint, const DeviceOptions& options, bool measure) {
  RefuseWhatItHasNot(options);
  DevicePlan result;
  PlanInput& in = result.input;
  const ExpertFileMap map(checkpoint.weights, checkpoint.files);
  PlanWeights(checkpoint, map, options, in);
  if (!options.use_mmap) in.own_dense_bytes = in.dense_bytes;
  const ReferenceMemoryNeed need = EstimateReferenceMemory(checkpoint.config, options.limits);
  in.kv_bytes = need.kv_bytes;
  in.activation_bytes = need.activation_bytes;
  if (measure) MeasureSpeeds(map, /*threads=*/1, result);
  in.available_bytes = AvailableMemoryBytes();
  result.memory = MakePlan(in);
  return result;
}

std::unique_ptr<OpenDevice> Open(std::shared_ptr<const Checkpoint> checkpoint, const DeviceOptions& options) {
  return std::make_unique<ReferenceDevice>(std::move(checkpoint), options);
}

}  // namespace

DeviceRow ReferenceDeviceRow() {
  return {"reference", "the scalar, exact, slow specification", false, Available, DecodedTo, Plan, Open};
}

}  // namespace oxidized
