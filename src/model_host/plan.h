// --dry-run: what a model would take here and how fast it could be, before anything of it is loaded. Opens
// headers, measures memory and disk for a moment, and leaves the arithmetic to experts/plan.h.
#pragma once

#include <optional>
#include <string>

#include "base/process.h"
#include "experts/plan.h"
#include "model_host/runtime.h"

namespace oxidized {

struct RuntimePlan {
  std::string model, format;
  int32_t num_layers = 0, num_experts = 0;
  int32_t experts_per_token = 0, model_experts_per_token = 0;  // as asked for, and the model's own
  int64_t context = 0;
  int64_t packed_bytes = 0;     // of the dense weights, those in 12 bits
  bool packed_mapped = false;   // out of a file of their own
  bool packed_compared = true;  // with the values of the model
  bool mapped = true;
  PlanInput input;
  MemoryPlan plan;
  std::optional<MemoryLimit> limit;  // of a control group
  const char* disk_method = "";
};

// Throws Error (kBadFile, kUsage).
RuntimePlan PlanRuntime(const RuntimeOptions& options);

}  // namespace oxidized
