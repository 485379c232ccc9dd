// CPU kernels with something wrong, for planting faults in the arithmetic of an executor: the best tier's
// table, with one function replaced.
#pragma once

#include <ostream>
#include <span>

#include "kernels/cpu/cpu_kernels.h"

namespace oxidized::conformance {

struct KernelFault {
  const char* name;
  const char* caught_by;  // a check that must fail
  void (*plant)(CpuKernels& kernels);
};
inline void PrintTo(const KernelFault& fault, std::ostream* out) { *out << fault.name; }  // for GoogleTest
std::span<const KernelFault> KernelFaults();

// The sound table that faulty ones are made of: products in f32 memory, whatever the processor has.
CpuKernels SoundKernels();

}  // namespace oxidized::conformance
