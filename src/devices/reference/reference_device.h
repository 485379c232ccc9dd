// The scalar reference executor as a row: the specification, run on one thread. Never chosen by "auto".
#pragma once

#include "devices/device.h"

namespace oxidized {

DeviceRow ReferenceDeviceRow();

}  // namespace oxidized
