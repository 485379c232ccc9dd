#include "devices/cuda/cuda_device.h"

#include <chrono>
#include <utility>

#include "base/error.h"
#include "executor/cuda/cuda_executor.h"
#include "kernels/cuda/runtime/runtime.h"

namespace oxidized {
namespace {

void RefuseWhatItHasNot(const DeviceOptions& options) {
  const auto refuse = [](Setting setting, const char* found, const char* value = "") {
    throw Error(
        ErrorKind::kUsage,
        {.setting = setting, .value = value, .found = found, .remedies = {{setting, "leave out {}"}}});
  };
  if (options.experts.budget)
    refuse(Setting::kExpertMemory, "device cuda keeps every expert in the card's memory");
  if (options.activations == ActivationType::kInt8)
    refuse(Setting::kActivations, "device cuda has no 8-bit products", "int8");
  if (options.pack_dense)
    refuse(Setting::kPackWeights, "device cuda has no products with weights in 12 bits");
  if (!options.packed_weights.empty())
    refuse(Setting::kPackedWeights, "device cuda has no products with weights in 12 bits");
  if (options.threads > 1) refuse(Setting::kThreads, "device cuda does not compute on threads of the host");
  if (!options.tier.empty())
    refuse(Setting::kCpuTier, "device cuda has no kernels of this name", options.tier.c_str());
}

CudaExecutorOptions CudaOptionsOf(const DeviceOptions& options) {
  CudaExecutorOptions cuda;
  cuda.limits = options.limits;
  cuda.card = options.instance;
  cuda.precision = options.precision;
  return cuda;
}

class CudaDevice final : public OpenDevice {
 public:
  CudaDevice(std::shared_ptr<const Checkpoint> model, const DeviceOptions& options)
      : model_(std::move(model)) {
    RefuseWhatItHasNot(options);
    const auto start = std::chrono::steady_clock::now();
    CudaExecutorOptions cuda = CudaOptionsOf(options);
    const CudaMemoryNeed need = EstimateCudaMemory(model_->config, model_->weights, cuda);
    if (options.progress) {
      cuda.progress = [&options](int64_t done, int64_t total) {
        options.progress(PrepareStage::kReading, done, total);
      };
    }
    executor_ = MakeCudaExecutor(model_->config, model_->weights, cuda);
    const std::chrono::duration<double, std::milli> elapsed = std::chrono::steady_clock::now() - start;
    report_.prepared.push_back({.form = "card",
                                .what = "weights in the card's memory",
                                .how = "packed there",
                                .bytes = need.dense_bytes + need.expert_bytes,
                                .milliseconds = elapsed.count()});
  }

  Executor& executor() override { return *executor_; }
  const DeviceReport& report() const override { return report_; }

 private:
  const std::shared_ptr<const Checkpoint> model_;
  DeviceReport report_;
  std::unique_ptr<Executor> executor_;
};

bool IsHopper(const cuda::Card& card) { return card.major == 9 && card.minor == 0; }

DeviceAvailability Available() {
  const cuda::Cards found = cuda::FindCards();
  DeviceAvailability available;
  std::string others;
  for (const cuda::Card& card : found.cards) {
    if (!IsHopper(card)) {
      others += fmt::format("{}{} ({}.{})", others.empty() ? "" : ", ", card.name, card.major, card.minor);
      continue;
    }
    DeviceInstance& instance = available.instances.emplace_back();
    instance.index = card.index;
    instance.name = fmt::format("{}, {} multiprocessors", card.name, card.processors);
    instance.memory_bytes = card.memory_bytes;
    instance.available_bytes = card.free_bytes;
  }
  if (!available.instances.empty()) return available;
  if (!others.empty()) {
    available.why_not = "the kernels are for compute capability 9.0 (H100, H200, GH200), here is " + others;
    available.what_to_do = {Setting::kDevice, "use {} cpu"};
  } else {
    available.why_not = "no NVIDIA GPU can be used: " + found.error;
    available.what_to_do = {
        Setting::kDevice,
        "install NVIDIA's driver for CUDA 13 (580 or later) where there is a GPU, or use {} cpu"};
  }
  return available;
}

DType DecodedTo(const DeviceOptions& options) {
  return options.precision == Precision::kF32 ? DType::kF32 : DType::kBF16;
}

DevicePlan Plan(const Checkpoint& checkpoint, const DeviceOptions& options, bool) {
  RefuseWhatItHasNot(options);
  DevicePlan result;
  PlanInput& in = result.input;
  const CudaMemoryNeed need =
      EstimateCudaMemory(checkpoint.config, checkpoint.weights, CudaOptionsOf(options));
  in.dense_bytes = in.own_dense_bytes = need.dense_bytes;
  in.expert_bytes = in.own_expert_bytes = need.expert_bytes;
  in.experts = in.own_experts = checkpoint.config.all_experts();
  in.kv_bytes = need.kv_bytes;
  in.activation_bytes = need.activation_bytes;
  in.decode_dense_bytes = need.decode_dense_bytes;
  in.decode_expert_bytes = need.decode_expert_bytes;
  in.least_slots = options.experts.ExpertsPerToken(checkpoint.config);
  for (const cuda::Card& card : cuda::FindCards().cards) {
    if (card.index == options.instance) in.available_bytes = card.free_bytes;
  }
  result.memory = MakePlan(in);
  return result;
}

std::unique_ptr<OpenDevice> Open(std::shared_ptr<const Checkpoint> checkpoint, const DeviceOptions& options) {
  return std::make_unique<CudaDevice>(std::move(checkpoint), options);
}

}  // namespace

DeviceRow CudaDeviceRow() { return {"cuda", "NVIDIA GPUs", true, Available, DecodedTo, Plan, Open}; }

}  // namespace oxidized
