// What a generation leaves behind, for people (tables on stderr) and for programs (--json).
#pragma once

#include <string>

#include "engine/engine.h"
#include "runtime/runtime.h"

namespace oxidized::cli {

struct Outcome {
  std::string text, reasoning;
  std::string stop_reason;  // stop, tool_call, stop_string, length, context_full, cancelled, error
  uint64_t seed = 0;
  double load_ms = 0.0;
  RequestStats stats;
};

// {text, reasoning, stop_reason, seed, tokens:{prompt, reused, generated}, timings:{load_ms, queue_ms,
// prefill_ms, decode_ms, first_token_ms}, moe:{layers:[{counts:[E], dropped, rerouted}]}, memory:[{owner,
// class, bytes}]}
std::string OutcomeJson(const Outcome& outcome);

std::string RoutingTable(const RoutingStats& routing);
// Where the time of a kind of step went, with the bytes and operations that its stages had to move and do.
std::string StageTable(const char* title, const StageTotals& totals);
std::string MemoryTable();

}  // namespace oxidized::cli
