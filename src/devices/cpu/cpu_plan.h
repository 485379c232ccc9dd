// What a model would take on the CPU and how fast it could be there, from headers and short measurements.
#pragma once

#include "devices/device.h"
#include "executor/cpu/cpu_executor.h"

namespace oxidized {

// The executor's options but for `experts` and `packed`. Throws Error(kUsage) for a tier that is not here.
CpuExecutorOptions CpuOptionsOf(const DeviceOptions& options);
int CpuThreadsOf(const DeviceOptions& options);

DevicePlan PlanCpu(const Checkpoint& checkpoint, const DeviceOptions& options, bool measure);

}  // namespace oxidized
