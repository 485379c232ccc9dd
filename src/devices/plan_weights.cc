#include "devices/plan_weights.h"

#include <algorithm>

#include "experts/disk_probe.h"
#include "kernels/cpu/ceilings.h"
#include "model/costs.h"
#include "parallel/thread_team.h"

namespace oxidized {
namespace {

int64_t DecodedExpertBytes(const Checkpoint& checkpoint) {
  const auto decoded = [&](const std::byte* data) {
    return data != nullptr && LiesInNoFile(checkpoint, data);
  };
  int64_t bytes = 0;
  for (const LayerWeights& layer : checkpoint.weights.layers) {
    for (const auto* experts : {&layer.gate_up, &layer.down}) {
      for (const ExpertView& expert : *experts)
        bytes +=
            (int64_t{decoded(expert.values)} + int64_t{decoded(expert.up_values)}) * expert.value_bytes();
    }
  }
  return bytes;
}

// Of K experts in each layer, the same share of its experts' bytes.
int64_t ExpertBytesOfToken(const WeightsView& weights, int64_t k) {
  int64_t sum = 0;
  for (const LayerWeights& layer : weights.layers) {
    int64_t bytes = 0;
    for (const auto* experts : {&layer.gate_up, &layer.down}) {
      for (const ExpertView& expert : *experts) bytes += expert.bytes();
    }
    sum += bytes / std::max<int64_t>(1, std::ssize(layer.gate_up)) * k;
  }
  return sum;
}

}  // namespace

bool LiesInNoFile(const Checkpoint& checkpoint, const std::byte* data) {
  return std::none_of(checkpoint.files.begin(), checkpoint.files.end(), [&](const MappedFile& file) {
    return data >= file.bytes().data() && data < file.bytes().data() + file.bytes().size();
  });
}

void PlanWeights(const Checkpoint& checkpoint, const ExpertFileMap& map, const DeviceOptions& options,
                 PlanInput& in) {
  const ModelConfig& config = checkpoint.config;
  const ModelCosts costs = ComputeCosts(config, checkpoint.weights);
  const int32_t k = options.experts.ExpertsPerToken(config);
  in.expert_bytes = costs.expert_bytes;
  in.dense_bytes = costs.weight_bytes - costs.expert_bytes;
  in.experts = map.all_experts();
  in.slot_bytes = map.slot_bytes();
  in.least_slots = k;
  if (options.use_mmap) {
    in.own_experts = in.experts - map.num_stored();
    in.own_expert_bytes = DecodedExpertBytes(checkpoint);
    in.own_dense_bytes = checkpoint.decoded.bytes - in.own_expert_bytes;
  } else {
    in.own_experts = in.experts;
    in.own_expert_bytes = in.expert_bytes;
    in.slot_bytes = 0;  // no pool: --expert-memory has no effect
  }
  in.decode_expert_bytes = ExpertBytesOfToken(checkpoint.weights, k);
  in.decode_dense_bytes =
      costs.decode_bytes - ExpertBytesOfToken(checkpoint.weights, config.experts_per_token);
  in.heap_bytes = kHeapBytes;
}

void MeasureSpeeds(const ExpertFileMap& map, int threads, DevicePlan& plan) {
  constexpr int64_t kLeastBytes = int64_t{16} << 20;
  constexpr double kLongSeconds = 0.3, kShortSeconds = 0.05;
  // What a token reads of a small model stays in the caches, so they are what counts; and nobody waits long
  // to hear that it fits.
  const int64_t token_bytes = plan.input.decode_dense_bytes + plan.input.decode_expert_bytes;
  const int64_t all = BandwidthProbe::DefaultBytes();
  const int64_t bytes = std::clamp(token_bytes, std::min(kLeastBytes, all), all);
  const double seconds = bytes < all ? kShortSeconds : kLongSeconds;
  ThreadTeam team(threads);
  plan.input.memory_bytes_per_s = BandwidthProbe(team, SelectCpuKernels(), bytes).Measure(seconds);
  if (map.files().empty()) return;
  const DiskSpeed disk = MeasureDiskSpeed(map.files(), map.file_sizes(), seconds);
  plan.input.disk_bytes_per_s = disk.bytes_per_s;
  plan.disk_method = disk.method;
}

}  // namespace oxidized
