// The table of devices, in the order in which "auto" asks them: the only file that names them.
#include "devices/absent.h"
#include "devices/cpu/cpu_device.h"
#include "devices/reference/reference_device.h"

namespace oxidized {

std::span<const DeviceRow> Devices() {
  static const DeviceRow rows[] = {AbsentCudaRow(), AbsentMetalRow(), AbsentVulkanRow(), CpuDeviceRow(),
                                   ReferenceDeviceRow()};
  return rows;
}

}  // namespace oxidized
