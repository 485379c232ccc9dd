// The CPU executor's options as they follow from the runtime's and the model: for making one, and for
// planning without making one.
#pragma once

#include "checkpoint/checkpoint.h"
#include "executor/cpu/cpu_executor.h"
#include "model_host/runtime.h"

namespace oxidized {

ExecutorLimits LimitsOf(const RuntimeOptions& options);
int ThreadsOf(const RuntimeOptions& options);
// All but `experts` and `packed`.
CpuExecutorOptions CpuOptionsOf(const RuntimeOptions& options, const Checkpoint& checkpoint);

}  // namespace oxidized
