// --dry-run: what a model would take here and how fast it could be, before anything of it is loaded. Opens
// headers, has the device measure for a moment, and leaves the arithmetic to devices/memory_plan.h.
#pragma once

#include <optional>
#include <string>

#include "base/process.h"
#include "model_host/runtime.h"

namespace oxidized {

struct RuntimePlan {
  std::string model, format;
  ModelConfig config;
  int64_t context = 0;
  bool mapped = true;
  DevicePlan device;
  std::optional<MemoryLimit> limit;  // of a control group
};

// Throws Error (kBadFile, kUsage, kUnsupported).
RuntimePlan PlanRuntime(const RuntimeOptions& options);

}  // namespace oxidized
