#include "kernels/cpu/arm_features.h"

#if defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>

#include <cstddef>
#endif

namespace oxidized {

#if defined(__aarch64__) && defined(__linux__)

ArmFeatures DetectArmFeatures() {
  const unsigned long first = getauxval(AT_HWCAP), second = getauxval(AT_HWCAP2);
  return {(first & HWCAP_ASIMDDP) != 0, (second & HWCAP2_BF16) != 0, (second & HWCAP2_I8MM) != 0};
}

#elif defined(__aarch64__) && defined(__APPLE__)

// Never compiled on a Mac: written from Apple's "Determining Instruction Set Characteristics".
ArmFeatures DetectArmFeatures() {
  const auto has = [](const char* name) {
    int value = 0;
    size_t size = sizeof(value);
    return sysctlbyname(name, &value, &size, nullptr, 0) == 0 && value != 0;
  };
  return {has("hw.optional.arm.FEAT_DotProd"), has("hw.optional.arm.FEAT_BF16"),
          has("hw.optional.arm.FEAT_I8MM")};
}

#else

ArmFeatures DetectArmFeatures() { return {}; }

#endif

}  // namespace oxidized
