#include "devices/cpu/cpu_plan.h"

#include <algorithm>

#include "base/error.h"
#include "base/process.h"
#include "checkpoint/map_again.h"
#include "checkpoint/packed_file.h"
#include "devices/plan_weights.h"
#include "parallel/cpu_topology.h"

namespace oxidized {
namespace {

// The dense weights in 12 bits: exactly what the file of --packed-weights holds; for --pack-weights, what
// they take at least. What is read from a file and then packed need not stay in memory; what was decoded,
// and an embedding that is tied, does.
void CountPacked(const Checkpoint& checkpoint, const PackedDense* file, DevicePlan& result) {
  const WeightsView& weights = checkpoint.weights;
  PlanInput& in = result.input;
  for (const auto& [index, m] : PackedDense::Candidates(weights)) {
    const int64_t packed = file != nullptr ? file->ReadBytes(*m) : PackedDense::LeastBytes(*m);
    if (file != nullptr ? file->Of(*m) == nullptr : !PackedDense::Pays(*m, packed)) continue;
    result.packed_bytes += packed;
    in.dense_bytes += packed;
    if (file == nullptr) in.own_dense_bytes += packed;
    in.decode_dense_bytes -= m->bytes() - packed;
    if (!LiesInNoFile(checkpoint, m->data) && m->data != weights.embedding.data) in.dense_bytes -= m->bytes();
  }
}

void PlanPacked(const Checkpoint& checkpoint, const DeviceOptions& options, DevicePlan& result) {
  if (options.packed_weights.empty()) {
    if (!options.pack_dense) return;
    PackedDense::RequireCandidates(checkpoint.weights);
    return CountPacked(checkpoint, nullptr, result);
  }
  Checkpoint mine = MapAgain(checkpoint);  // it takes the packed file in
  const std::vector<DenseMatrix> candidates = PackedDense::Candidates(mine.weights);
  result.packed_compared = std::none_of(candidates.begin(), candidates.end(), [&](const DenseMatrix& m) {
    return LiesInNoFile(mine, m.matrix->data);
  });
  const auto progress = [&](int64_t done, int64_t total) {
    if (options.progress) options.progress(PrepareStage::kComparing, done, total);
  };
  ThreadTeam team(CpuThreadsOf(options));
  const auto packed = OpenPackedFile(
      options.packed_weights, mine,
      result.packed_compared ? PackedFileCheck::kValues : PackedFileCheck::kShapes, team, progress);
  result.packed_mapped = true;
  CountPacked(mine, packed.get(), result);
}

}  // namespace

int CpuThreadsOf(const DeviceOptions& options) {
  return options.threads > 0 ? options.threads : DetectCpuTopology().DefaultThreads();
}

CpuExecutorOptions CpuOptionsOf(const DeviceOptions& options) {
  CpuExecutorOptions cpu;
  cpu.limits = options.limits;
  cpu.precision = options.precision;
  cpu.activations = options.activations;
  cpu.threads = options.threads;
  if (options.tier.empty()) return cpu;
  for (const CpuTier& tier : CpuTiers()) {
    if (tier.available && options.tier == tier.kernels->name) cpu.kernels = tier.kernels;
  }
  if (cpu.kernels == nullptr) {
    throw Error(ErrorKind::kUsage, {.setting = Setting::kCpuTier,
                                    .value = options.tier,
                                    .found = "this machine has no kernels of this name"});
  }
  return cpu;
}

DevicePlan PlanCpu(const Checkpoint& checkpoint, const DeviceOptions& options, bool measure) {
  DevicePlan result;
  PlanInput& in = result.input;
  const ExpertFileMap map(checkpoint.weights, checkpoint.files);
  PlanWeights(checkpoint, map, options, in);
  if (options.use_mmap && options.experts.budget && map.num_stored() > 0)
    in.slots = SlotsFor(*options.experts.budget, map, options.experts.ExpertsPerToken(checkpoint.config));
  PlanPacked(checkpoint, options, result);
  if (in.slots > 0 || !options.use_mmap) in.own_dense_bytes = in.dense_bytes;  // read into memory
  const CpuMemoryNeed need = EstimateCpuMemory(checkpoint.config, checkpoint.weights, CpuOptionsOf(options));
  in.kv_bytes = need.kv_bytes;
  in.activation_bytes = need.activation_bytes;
  if (measure) MeasureSpeeds(map, CpuThreadsOf(options), result);
  in.available_bytes = AvailableMemoryBytes();
  result.memory = MakePlan(in);
  return result;
}

}  // namespace oxidized
