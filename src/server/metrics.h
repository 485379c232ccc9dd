// What the server counts, in Prometheus' text format, under the names of vLLM where it has one: boards and
// autoscalers that read vLLM read this.
#pragma once

#include <string>

#include "server/generation.h"

namespace oxidized::server {

struct MetricsInput {
  std::string model;
  const GenerationTotals& totals;
  int64_t running, waiting;
};
std::string MetricsText(const MetricsInput& input);

}  // namespace oxidized::server
