// The tables of all tiers, each defined by its tier_*.cc where the architecture has it. For cpu_kernels.cc.
#pragma once

#include "kernels/cpu/cpu_kernels.h"

namespace oxidized {

extern const CpuKernels kCpuKernelsScalar;
extern const CpuKernels kCpuKernelsAvx2;
extern const CpuKernels kCpuKernelsAvx512;
extern const CpuKernels kCpuKernelsAvx512Bf16;
extern const CpuKernels kCpuKernelsNeon;
extern const CpuKernels kCpuKernelsNeonDot;
extern const CpuKernels kCpuKernelsNeonBf16;
extern const CpuKernels kCpuKernelsNeonI8mm;

}  // namespace oxidized
