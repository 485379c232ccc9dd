// The CPU as a row: weights mapped, or read into memory and rearranged there, packed to 12 bits, with a store
// of experts where one is asked for; then executor/cpu on them.
#pragma once

#include "devices/device.h"

namespace oxidized {

DeviceRow CpuDeviceRow();

}  // namespace oxidized
