#include "devices/absent.h"

#include "base/error.h"

namespace oxidized {
namespace {

// A row is not available for one reason, whoever asks: nothing may plan on it or open it.
DevicePlan CannotPlan(const Checkpoint&, const DeviceOptions&, bool) {
  Fail(ErrorKind::kUnsupported, "this device is not available");
}
std::unique_ptr<OpenDevice> CannotOpen(std::shared_ptr<const Checkpoint>, const DeviceOptions&) {
  Fail(ErrorKind::kUnsupported, "this device is not available");
}
DType AsUsual(const DeviceOptions&) { return DType::kBF16; }

DeviceRow Absent(const char* name, const char* what, DeviceAvailability (*why)()) {
  return {name, what, true, why, AsUsual, CannotPlan, CannotOpen};
}

}  // namespace

DeviceRow AbsentCudaRow() {
  return Absent("cuda", "NVIDIA GPUs", [] {
    return DeviceAvailability{{},
                              "this program was built without nvcc, CUDA's compiler",
                              {Setting::kDevice, "build it where nvcc 13 is on the PATH, or use {} cpu"}};
  });
}

DeviceRow AbsentVulkanRow() {
  return Absent("vulkan", "GPUs with a Vulkan driver", [] {
    return DeviceAvailability{{}, "this version has no code for Vulkan", {Setting::kDevice, "use {} cpu"}};
  });
}

DeviceRow AbsentMetalRow() {
  return Absent("metal", "GPUs of Apple's machines", [] {
    return DeviceAvailability{{}, "this version has no code for Metal", {Setting::kDevice, "use {} cpu"}};
  });
}

}  // namespace oxidized
