// The sections of `bench moe`: each is a function of this context that gives its figures; moe.cc has the
// table.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/machine.h"
#include "bench/moe.h"

namespace oxidized {

struct MoeBenchContext {
  const MoeBenchSettings& settings;
  const BenchWatch& watch;
  BenchMachine& machine;
  MoeBenchResult& result;

  const ModelConfig& config() const { return settings.runtime.checkpoint().config; }
  int32_t runs() const { return settings.runs; }
  // `run` 0 warms up. Throws Interrupted.
  void Progress(const char* section, int32_t run) const;
};

// Requests through the engine: the executor's own stage times inside the steps of real answers.
std::vector<Figure> BenchMoeEndToEnd(MoeBenchContext& context);
// Each layer's stages for one row and for many, the model's own router on random rows.
std::vector<Figure> BenchMoeLayers(MoeBenchContext& context);
// One expert's product for 1 to 512 rows; groups forced.
std::vector<Figure> BenchMoeExpert(MoeBenchContext& context);
// A layer under three distributions of synthetic router logits, which the model's own rule turns into
// choices.
std::vector<Figure> BenchMoeLoad(MoeBenchContext& context);
// Whole requests with a part of the experts in memory, at several budgets.
std::vector<Figure> BenchMoeStore(MoeBenchContext& context);

// Router logits [rows, E] whose top K are drawn without replacement with probabilities proportional to
// (1 + rank of the expert)^-skew (Gumbel noise added to log-probabilities): 0 is uniform, 1 is Zipf.
std::vector<float> SkewedLogits(int64_t rows, int32_t experts, double skew, uint64_t seed);

MoeRequestSize MoeRequestSizeOf(const ExecutorInfo& info);
// One such request, run to its end; another `run`, another prompt. Throws Error, Interrupted.
RequestStats RunMoeRequest(const MoeBenchContext& context, EngineLoop& loop, const char* section,
                           int32_t run);

}  // namespace oxidized
