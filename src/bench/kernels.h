// Each kernel of a tier by itself, at the shapes of a model, over weights that no cache holds.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bench/figure.h"
#include "bench/machine.h"
#include "model/model_config.h"

namespace oxidized {

struct KernelBenchInputs {
  const ModelConfig& config;
  const CpuKernels& kernels;
  BenchMachine& machine;
  int32_t runs;
  std::function<void(const std::string&)> status;  // what is measured now
};

// Products at several row counts, attention at several depths, the rest for one row and for many;
// microseconds a call. Throws Error(kNoMemory), Interrupted.
std::vector<Figure> BenchKernels(const KernelBenchInputs& inputs);

}  // namespace oxidized
