#include "server/metrics.h"

#include <fmt/core.h>

#include "server/json_writer.h"

namespace oxidized::server {

std::string MetricsText(const MetricsInput& input) {
  std::string model;  // a label is escaped as a string of JSON is, as far as names go
  AppendJsonString(input.model, model);
  const GenerationTotals& totals = input.totals;
  const struct {
    const char *name, *type, *help;
    int64_t value;
  } rows[] = {
      {"vllm:num_requests_running", "gauge", "Answers that are being written", input.running},
      {"vllm:num_requests_waiting", "gauge", "Answers of which nothing was written yet", input.waiting},
      {"vllm:prompt_tokens_total", "counter", "Tokens of prompts that were read, reused ones included",
       totals.prompt_tokens},
      {"vllm:prompt_tokens_cached_total", "counter", "Of these, reused ones", totals.cached_tokens},
      {"vllm:generation_tokens_total", "counter", "Tokens that were generated", totals.generated_tokens},
      {"oxidized:requests_total", "counter", "Requests that the engine took", totals.requests},
      {"oxidized:requests_cancelled_total", "counter", "Requests whose client left before the end",
       totals.cancelled},
      {"oxidized:requests_failed_total", "counter", "Requests that the engine ended", totals.failed},
  };
  std::string out;
  for (const auto& row : rows) {
    out += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n{0}{{model_name={3}}} {4}\n", row.name, row.help,
                       row.type, model, row.value);
  }
  out +=
      "# HELP vllm:request_success_total Answers that came to their end\n# TYPE vllm:request_success_total "
      "counter\n";
  for (const FinishReason reason : {FinishReason::kStop, FinishReason::kLength, FinishReason::kToolCalls}) {
    out += fmt::format("vllm:request_success_total{{finished_reason=\"{}\",model_name={}}} {}\n",
                       Name(reason), model, totals.finished[static_cast<size_t>(reason)]);
  }
  return out;
}

}  // namespace oxidized::server
