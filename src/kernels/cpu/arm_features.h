// Which of the optional instructions that a tier uses this ARM64 processor has, as its system says. For
// cpu_kernels.cc.
#pragma once

namespace oxidized {

struct ArmFeatures {
  bool dotprod = false;  // SDOT
  bool bf16 = false;     // BFDOT
  bool i8mm = false;     // SMMLA
};
// Nothing on other architectures, and where the system does not say.
ArmFeatures DetectArmFeatures();

}  // namespace oxidized
