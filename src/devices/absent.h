// Devices that a person may ask for by name and that this version does not have: rows without code of their
// own, which say why, and what to do.
#pragma once

#include "devices/device.h"

namespace oxidized {

DeviceRow AbsentCudaRow();
DeviceRow AbsentVulkanRow();
DeviceRow AbsentMetalRow();

}  // namespace oxidized
