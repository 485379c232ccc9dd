// Each kernel of a tier by itself, at the shapes of a model, over weights that no cache holds.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bench/figure.h"
#include "kernels/cpu/ceilings.h"
#include "model/model_config.h"
#include "parallel/thread_team.h"

namespace oxidized::cli {

struct KernelBenchInputs {
  const ModelConfig& config;
  const CpuKernels& kernels;
  ThreadTeam& team;
  BandwidthProbe& probe;
  const Ceilings& ceilings;
  int32_t runs;
  std::function<void(const std::string&)> status;  // what is measured now
};

// Products at several row counts, attention at several depths, the rest for one row and for many;
// microseconds a call. Throws Error(kNoMemory), Interrupted.
std::vector<Figure> BenchKernels(const KernelBenchInputs& inputs);

}  // namespace oxidized::cli
