// What a generation leaves behind, for people (tables on stderr) and for programs (--json).
#pragma once

#include <optional>
#include <string>

#include "engine/engine.h"
#include "model_host/runtime.h"
#include "report/moe_report.h"

namespace oxidized {

// A kind of step, all stages together; two of them can be subtracted.
struct StageSums {
  int64_t steps = 0, bytes = 0;
  double microseconds = 0.0;
  StageSums operator-(const StageSums& o) const {
    return {steps - o.steps, bytes - o.bytes, microseconds - o.microseconds};
  }
};
StageSums Sum(const StageTotals& totals);

struct FinishedAnswer {
  std::string text, reasoning;
  std::string stop_reason;  // stop, tool_call, stop_string, length, context_full, cancelled, error
  uint64_t seed = 0;
  double load_ms = 0.0;
  RequestStats stats;
  StageSums decode;                   // of this request alone
  std::optional<RequestError> error;  // the engine ended it; the rest is what there was until then
};

// docs/json-output.md has the fields. `moe`, `memory`: null leaves them out.
std::string AnswerJson(const FinishedAnswer& answer, const MoeReport* moe, const Runtime* memory);

// Where the time of a kind of step went, with the bytes and operations that its stages had to move and do.
std::string StageTable(const char* title, const StageTotals& totals);

// Tokens, time to the first one, speeds, GB/s, reused tokens: one line.
std::string ClosingLine(const FinishedAnswer& answer);

}  // namespace oxidized
