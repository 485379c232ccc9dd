// What --benchmark-moe measures, as a list of sections: each is a function of this context, and a new one is
// a row of the table in benchmark_moe.cc.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bench/figure.h"
#include "cli/commands/generation.h"
#include "cli/options/options.h"
#include "executor/moe_stages.h"
#include "kernels/cpu/ceilings.h"

namespace oxidized::cli {

struct MoeFigure : Figure {
  int32_t layer = -1;         // of one layer; -1: of all, or none in particular
  double experts_used = 0.0;  // a layer, on average; 0: not counted
};

struct MoeBenchContext {
  const GenerateOptions& options;
  Generation& generation;
  MoeStages& stages;
  BandwidthProbe& probe;
  Ceilings ceilings;
  double arithmetic_per_s;    // the ceiling of expert products
  RoutingStats routing = {};  // of the requests that were run

  const ModelConfig& config() const { return generation.runtime().checkpoint().config; }
  int32_t runs() const { return options.benchmark_runs; }
  // `run` 0 warms up. Throws Interrupted.
  void Progress(const char* section, int32_t run) const;
};

struct MoeSection {
  const char* name;   // in JSON
  const char* title;  // for people: what the rows are
  std::vector<MoeFigure> (*run)(MoeBenchContext&);
};

// Requests through the engine: the executor's own stage times inside the steps of real answers.
std::vector<MoeFigure> BenchMoeEndToEnd(MoeBenchContext& context);
// Each layer's stages for one row and for many, the model's own router on random rows.
std::vector<MoeFigure> BenchMoeLayers(MoeBenchContext& context);
// One expert's product for 1 to 512 rows; groups forced.
std::vector<MoeFigure> BenchMoeExpert(MoeBenchContext& context);
// A layer under three distributions of synthetic router logits, which the model's own rule turns into
// choices.
std::vector<MoeFigure> BenchMoeLoad(MoeBenchContext& context);
// Whole requests with a part of the experts in memory (--expert-memory at several budgets).
std::vector<MoeFigure> BenchMoeStore(MoeBenchContext& context);

// Router logits [rows, E] whose top K are drawn without replacement with probabilities proportional to
// (1 + rank of the expert)^-skew (Gumbel noise added to log-probabilities): 0 is uniform, 1 is Zipf.
std::vector<float> SkewedLogits(int64_t rows, int32_t experts, double skew, uint64_t seed);

// Tokens of the prompt and of the answer of each end-to-end run, as the context allows.
struct MoeRequestSize {
  int64_t prompt_tokens, answer_tokens;
};
MoeRequestSize RequestSize(const ExecutorInfo& info);
// One such request, run to its end; another `run`, another prompt. Throws Error, Interrupted.
RequestStats RunMoeRequest(const MoeBenchContext& context, Engine& engine, const char* section, int32_t run);

}  // namespace oxidized::cli
