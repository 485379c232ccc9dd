// `bench`: how fast the model runs here, each figure beside what the machine could do at most. Measures the
// ceilings first, then runs the tests in turn, again and again, with a probe of memory's speed between any
// two samples. Knows no command line: called by cli/commands/bench.cc, which opens the models and prints.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/report.h"
#include "bench/tests.h"
#include "kernels/cpu/cpu_kernels.h"
#include "model_host/runtime.h"

namespace oxidized {

// Where measuring says how far it is.
struct BenchWatch {
  std::function<void(const std::string&)> status;  // transient: replaced by the next one; "": nothing
  std::function<void(const std::string&)> line;    // stays
};

struct BenchSettings {
  std::vector<BenchTest> tests;
  bool named = false;            // asked for by name: one that cannot run is an error, and not left out
  std::vector<int32_t> threads;  // teams to measure, not empty
  int32_t runs = 3;
  uint64_t seed = 0;
  double ceiling_seconds = 0.3;
  const CpuKernels& kernels;
  bool scalar_executor = false;  // of the tests that run the model: no kernels, nothing counted

  // The model on so many threads with room for so many sequences, for tests that run it.
  std::function<std::unique_ptr<Runtime>(int32_t threads, int32_t sequences, int64_t kv_tokens)> open;
  std::function<Checkpoint()> shapes;  // for tests that want no more of it
  bool mapped = true;                  // how it holds weights: mapped, not read into memory
};

// Throws Error, Interrupted.
BenchReport RunBench(const BenchSettings& settings, const BenchWatch& watch);

}  // namespace oxidized
