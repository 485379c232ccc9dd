#include "bench/machine.h"

#include "base/interrupt.h"

namespace oxidized {

BenchMachine::BenchMachine(int threads, const CpuKernels& kernels, double seconds)
    : team_(threads), probe_(team_, kernels), ceilings_(MeasureArithmetic(team_, kernels, seconds)) {
  ThrowIfInterrupted();
  ceilings_.read_bytes_per_s = probe_.Measure(seconds);
  ThrowIfInterrupted();
}

double BenchMachine::ArithmeticCeiling(std::string_view activations) const {
  if (activations == "int8" && ceilings_.int8_per_s > 0.0) return ceilings_.int8_per_s;
  if (activations == "bf16" && ceilings_.bf16_per_s > 0.0) return ceilings_.bf16_per_s;
  return ceilings_.f32_per_s;
}

}  // namespace oxidized
