// `bench moe` (--benchmark-moe): what the mixture of experts costs in this model on this machine, section by
// section; a new section is a function and a row of the table in moe.cc. Knows no command line: called by
// cli/commands/benchmark_moe.cc, which opens the model and prints (moe_report.h).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/bench.h"
#include "bench/figure.h"
#include "executor/moe_stages.h"
#include "kernels/cpu/ceilings.h"
#include "model_host/runtime.h"

namespace oxidized {

inline constexpr int64_t kMoeBenchRows = 512;  // most rows of a stage by itself

struct MoeBenchSettings {
  std::string name;  // of what was asked for, in warnings
  Runtime& runtime;
  MoeStages& stages;  // of the same model, kMoeBenchRows
  // The same model again, with this share of its experts in memory.
  std::function<std::unique_ptr<Runtime>(double share)> open_with;
  RoutingPolicy routing;
  int threads = 1;
  int32_t runs = 3;  // after one to warm up
  uint64_t seed = 0;
};

// Tokens of the prompt and of the answer of each request, as the context allows.
struct MoeRequestSize {
  int64_t prompt_tokens, answer_tokens;
};

struct MoeSectionResult {
  const char* name;   // in JSON
  const char* title;  // for people: what the rows are
  std::vector<Figure> figures;
};

struct MoeBenchResult {
  std::string model, device;
  int32_t runs = 0;
  MoeRequestSize request = {};
  Ceilings ceilings;
  const char* arithmetic = "f32";  // what multiplies, and its ceiling
  double arithmetic_per_s = 0.0;
  std::vector<MoeSectionResult> sections = {};
  RoutingStats routing = {};  // of the requests that were run with every expert in memory
};

// Throws Error, Interrupted.
MoeBenchResult RunMoeBench(const MoeBenchSettings& settings, const BenchWatch& watch);

}  // namespace oxidized
