// The table of devices, in the order in which "auto" asks them: the only file that names them.
#include "devices/absent.h"
#include "devices/cpu/cpu_device.h"
#include "devices/reference/reference_device.h"
#ifdef OXIDIZED_HAS_CUDA
#include "devices/cuda/cuda_device.h"
#endif

namespace oxidized {

namespace {

DeviceRow CudaRow() {
#ifdef OXIDIZED_HAS_CUDA
  return CudaDeviceRow();
#else
  return AbsentCudaRow();
#endif
}

}  // namespace

std::span<const DeviceRow> Devices() {
  static const DeviceRow rows[] = {CudaRow(), AbsentMetalRow(), AbsentVulkanRow(), CpuDeviceRow(),
                                   ReferenceDeviceRow()};
  return rows;
}

}  // namespace oxidized
