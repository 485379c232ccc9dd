#include "model_host/moe_stages.h"

#include "executor/cpu/cpu_moe_stages.h"
#include "model_host/cpu_options.h"

namespace oxidized {

std::unique_ptr<MoeStages> MakeMoeStages(const RuntimeOptions& options, const Checkpoint& checkpoint,
                                         int64_t max_tokens) {
  return MakeCpuMoeStages(checkpoint.config, checkpoint.weights, CpuOptionsOf(options, checkpoint),
                          max_tokens);
}

}  // namespace oxidized
