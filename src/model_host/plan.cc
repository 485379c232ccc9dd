#include "model_host/plan.h"

#include <algorithm>

#include "checkpoint/packed_file.h"
#include "experts/disk_probe.h"
#include "kernels/cpu/ceilings.h"
#include "model/costs.h"
#include "model_host/cpu_options.h"

namespace oxidized {
namespace {

// Lies in no file: converted when the model is opened.
bool IsConverted(const Checkpoint& checkpoint, const std::byte* data) {
  return data != nullptr &&
         std::none_of(checkpoint.files.begin(), checkpoint.files.end(), [&](const MappedFile& file) {
           return data >= file.bytes().data() && data < file.bytes().data() + file.bytes().size();
         });
}

int64_t ConvertedExpertBytes(const Checkpoint& checkpoint) {
  const auto converted = [&](const std::byte* data) { return IsConverted(checkpoint, data); };
  int64_t bytes = 0;
  for (const LayerWeights& layer : checkpoint.weights.layers) {
    for (const auto* experts : {&layer.gate_up, &layer.down}) {
      for (const ExpertView& expert : *experts)
        bytes +=
            (int64_t{converted(expert.values)} + int64_t{converted(expert.up_values)}) * expert.value_bytes();
    }
  }
  return bytes;
}

// The dense weights in 12 bits: exactly what the file of --packed-weights holds; for --pack-weights, what
// they take at least. What is read from a file and then packed need not stay in memory; what was converted,
// and an embedding that is tied, does.
void CountPacked(const Checkpoint& checkpoint, const PackedDense* file, RuntimePlan& result) {
  const WeightsView& weights = checkpoint.weights;
  PlanInput& in = result.input;
  for (const auto& [index, m] : PackedDense::Candidates(weights)) {
    const int64_t packed = file != nullptr ? file->ReadBytes(*m) : PackedDense::LeastBytes(*m);
    if (file != nullptr ? file->Of(*m) == nullptr : !PackedDense::Pays(*m, packed)) continue;
    result.packed_bytes += packed;
    in.dense_bytes += packed;
    if (file == nullptr) in.own_dense_bytes += packed;
    in.decode_dense_bytes -= m->bytes() - packed;
    if (!IsConverted(checkpoint, m->data) && m->data != weights.embedding.data) in.dense_bytes -= m->bytes();
  }
}

}  // namespace

RuntimePlan PlanRuntime(const RuntimeOptions& options) {
  RuntimePlan result;
  const bool f32 = options.precision == Precision::kF32 || options.executor == ExecutorKind::kReference;
  Checkpoint checkpoint =
      OpenCheckpoint(ResolveModelPath(options.model_path, options.download),
                     {.convert_to = f32 ? DType::kF32 : DType::kBF16, .metadata_only = true});
  const ModelConfig& config = checkpoint.config;
  const int32_t k = options.experts.ExpertsPerToken(config);
  const ExpertFileMap map(checkpoint.weights, checkpoint.files);
  const ModelCosts costs = ComputeCosts(config, checkpoint.weights);
  result.model = checkpoint.path.string();
  result.format = checkpoint.format;
  result.num_layers = config.num_layers;
  result.num_experts = config.num_experts;
  result.experts_per_token = k;
  result.model_experts_per_token = config.experts_per_token;
  result.context = options.context > 0 ? options.context : config.max_context;
  result.mapped = options.use_mmap;

  PlanInput& in = result.input;
  in.expert_bytes = costs.expert_bytes;
  in.dense_bytes = costs.weight_bytes - costs.expert_bytes;
  in.experts = int64_t{config.num_layers} * config.num_experts;
  in.slot_bytes = map.slot_bytes();
  in.least_slots = k;
  if (options.use_mmap) {
    in.own_experts = in.experts - map.num_stored();
    in.own_expert_bytes = ConvertedExpertBytes(checkpoint);
    in.own_dense_bytes = checkpoint.converted.bytes - in.own_expert_bytes;
  } else {
    in.own_experts = in.experts;
    in.own_expert_bytes = in.expert_bytes;
    in.slot_bytes = 0;  // no pool: --expert-memory has no effect
  }
  if (options.use_mmap && options.experts.budget && map.num_stored() > 0)
    in.slots = SlotsFor(*options.experts.budget, map, k);
  in.decode_expert_bytes = costs.expert_bytes / config.num_experts * k;
  in.decode_dense_bytes =
      costs.decode_bytes - costs.expert_bytes / config.num_experts * config.experts_per_token;
  ThreadTeam team(ThreadsOf(options));
  std::shared_ptr<const PackedDense> packed;
  if (!options.packed_weights.empty()) {
    const std::vector<DenseMatrix> candidates = PackedDense::Candidates(checkpoint.weights);
    result.packed_compared = std::none_of(candidates.begin(), candidates.end(), [&](const DenseMatrix& m) {
      return IsConverted(checkpoint, m.matrix->data);
    });
    packed = OpenPackedFile(options.packed_weights, checkpoint,
                            result.packed_compared ? PackedFileCheck::kValues : PackedFileCheck::kShapes,
                            team, options.comparing_progress);
  }
  result.packed_mapped = packed != nullptr;
  if (packed == nullptr && options.pack_dense) PackedDense::RequireCandidates(checkpoint.weights);
  if (packed != nullptr || options.pack_dense) CountPacked(checkpoint, packed.get(), result);
  if (in.slots > 0 || !options.use_mmap) in.own_dense_bytes = in.dense_bytes;  // see Runtime::OwnWhatIsRead
  const CpuMemoryNeed need = EstimateCpuMemory(config, checkpoint.weights, CpuOptionsOf(options, checkpoint));
  in.kv_bytes = need.kv_bytes;
  in.activation_bytes = need.activation_bytes;
  in.heap_bytes = kHeapBytes;

  in.memory_bytes_per_s = BandwidthProbe(team, SelectCpuKernels()).Measure(0.3);
  if (!map.files().empty()) {
    const DiskSpeed disk = MeasureDiskSpeed(map.files(), map.file_sizes());
    in.disk_bytes_per_s = disk.bytes_per_s;
    result.disk_method = disk.method;
  }
  in.available_bytes = AvailableMemoryBytes();
  result.limit = ReadMemoryLimit();
  result.plan = MakePlan(in);
  return result;
}

}  // namespace oxidized
