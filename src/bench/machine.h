// The machine that is measured on: a team of threads, the probe of memory's speed and the ceilings that every
// figure stands beside. Made once before the samples of `bench` and of `bench moe`. Runs no model.
#pragma once

#include <string_view>

#include "kernels/cpu/ceilings.h"
#include "parallel/thread_team.h"

namespace oxidized {

class BenchMachine {
 public:
  // Measures the ceilings, about `seconds` each. Throws Error(kNoMemory), Interrupted.
  BenchMachine(int threads, const CpuKernels& kernels, double seconds);
  BenchMachine(const BenchMachine&) = delete;
  BenchMachine& operator=(const BenchMachine&) = delete;

  ThreadTeam& team() { return team_; }
  BandwidthProbe& probe() { return probe_; }
  const Ceilings& ceilings() const { return ceilings_; }

  // Operations a second of the instructions that multiply such activations ("f32", "bf16", "int8") at best;
  // f32 where the tier has none of their own.
  double ArithmeticCeiling(std::string_view activations) const;

 private:
  ThreadTeam team_;
  BandwidthProbe probe_;
  Ceilings ceilings_;
};

}  // namespace oxidized
