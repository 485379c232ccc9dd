// NVIDIA GPUs of compute capability 9.0 as a row: weights packed into the card's memory, then executor/cuda
// on them. Asks the driver, which is looked for when the program runs.
#pragma once

#include "devices/device.h"

namespace oxidized {

DeviceRow CudaDeviceRow();

}  // namespace oxidized
