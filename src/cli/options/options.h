// What answering can be asked, as plain data. generate_options.cc fills it from the command line, the
// environment and a config file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/output_file.h"
#include "harmony/conversation.h"
#include "model_host/runtime.h"
#include "moe/routing_collector.h"
#include "moe/routing_policy.h"
#include "sampling/sampling_params.h"

namespace oxidized::cli {

enum class ReasoningView : uint8_t { kHidden, kDim, kPlain };

struct GenerateOptions {
  RuntimeOptions runtime;
  bool interactive = false;
  std::optional<std::string> prompt;       // "-": standard input
  std::optional<std::string> prompt_file;  // the same
  int64_t max_tokens = 512;
  SamplingParams sampling{.temperature = 0.7, .top_p = 0.9};
  std::vector<std::string> stop;
  RoutingPolicy routing;
  bool show_moe_metrics = false;
  OutputName moe_report, moe_trace;
  bool moe_trace_logits = false;
  int32_t moe_window = kRoutingWindowTokens;
  bool memory_stats = false;
  bool dry_run = false;
  bool benchmark_moe = false;
  int32_t benchmark_runs = 3;
  OutputName benchmark_plot;

  std::string system;  // both give instructions to the model; they become one developer message
  std::string developer;
  std::optional<std::string> model_identity;
  ReasoningEffort reasoning_effort = ReasoningEffort::kMedium;
  int64_t max_reasoning_tokens = -1;
  std::optional<std::string> date;  // nullopt: none
  ReasoningView reasoning_view = ReasoningView::kHidden;
  bool raw = false;

  bool json = false;
  bool verbose = false;
  bool color = true;
};

int RunGenerate(const GenerateOptions& options);
int PrintVersion(bool verbose);

}  // namespace oxidized::cli
