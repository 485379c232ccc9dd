// What a generation leaves behind, for people (tables on stderr) and for programs (--json).
#pragma once

#include <string>

#include "engine/engine.h"
#include "runtime/runtime.h"

namespace oxidized::cli {

// A kind of step, all stages together; two of them can be subtracted.
struct StageSums {
  int64_t steps = 0, bytes = 0;
  double microseconds = 0.0;
  StageSums operator-(const StageSums& o) const {
    return {steps - o.steps, bytes - o.bytes, microseconds - o.microseconds};
  }
};
StageSums Sum(const StageTotals& totals);

struct Outcome {
  std::string text, reasoning;
  std::string stop_reason;  // stop, tool_call, stop_string, length, context_full, cancelled, error
  uint64_t seed = 0;
  double load_ms = 0.0;
  RequestStats stats;
  StageSums decode;  // of this request alone
};

// {text, reasoning, stop_reason, seed, tokens:{prompt, reused, generated}, timings:{load_ms, queue_ms,
// prefill_ms, decode_ms, first_token_ms}, moe:{layers:[{counts:[E], dropped, rerouted}]}, memory:[{owner,
// class, bytes}]}
std::string OutcomeJson(const Outcome& outcome);

// One row a layer: choices served, the busiest expert (id:choices) and its share, imbalance (max / mean and
// the coefficient of variation, over all experts), idle experts, dropped and rerouted choices, and the load
// of each expert as a strip of bars. The last row is the whole.
std::string RoutingTable(const RoutingStats& routing);
// Where the time of a kind of step went, with the bytes and operations that its stages had to move and do.
std::string StageTable(const char* title, const StageTotals& totals);

// Tokens, time to the first one, speeds, GB/s, reused tokens: one line.
std::string ClosingLine(const Outcome& outcome);
std::string CutInReasoning(const Outcome& outcome);

}  // namespace oxidized::cli
