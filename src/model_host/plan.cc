#include "model_host/plan.h"

#include "base/error.h"

namespace oxidized {

RuntimePlan PlanRuntime(const RuntimeOptions& options) {
  const auto open = [&](DType decode_to) {
    return OpenCheckpoint(ResolveModelPath(options.model_path, options.download),
                          {.decode_to = decode_to, .metadata_only = true});
  };
  std::optional<Checkpoint> usual;
  const ChosenDevice chosen = ChooseDevice(options.choice, options.device, [&]() -> const Checkpoint& {
    if (!usual) usual = open(DType::kBF16);
    return *usual;
  });
  const Checkpoint checkpoint = open(chosen.row->decoded_to(chosen.options));
  RuntimePlan result;
  result.model = checkpoint.path.string();
  result.format = checkpoint.format;
  result.config = checkpoint.config;
  const int64_t asked = options.device.limits.max_context;
  result.context = asked > 0 ? asked : checkpoint.config.max_context;
  result.mapped = options.device.use_mmap;
  result.device = chosen.row->plan(checkpoint, chosen.options, /*measure=*/true);
  result.limit = ReadMemoryLimit();
  return result;
}

}  // namespace oxidized
