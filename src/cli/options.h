// What each command can be asked, as plain data. parse.cc fills it from the command line, the environment and
// a config file; the commands read it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "harmony/conversation.h"
#include "moe/routing_policy.h"
#include "runtime/runtime.h"
#include "sampling/sampling_params.h"

namespace oxidized::cli {

enum class ReasoningView : uint8_t { kHidden, kDim, kPlain };

struct GenerateOptions {
  RuntimeOptions runtime;
  bool interactive = false;
  std::optional<std::string> prompt;  // "-": standard input
  int64_t max_tokens = 512;
  SamplingParams sampling{.temperature = 0.7, .top_p = 0.9};
  std::vector<std::string> stop;
  RoutingPolicy routing;
  bool show_moe_metrics = false;
  bool memory_stats = false;
  bool benchmark_moe = false;
  int32_t benchmark_runs = 3;

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

struct InspectOptions {
  std::string path;
  bool json = false;
};

struct TokenizeOptions {
  RuntimeOptions runtime;  // model and tokenizer paths only
  std::vector<std::string> input;
  bool jsonl = false;
  bool specials = false;  // the text of special tokens becomes those tokens
};
struct DetokenizeOptions {
  RuntimeOptions runtime;
  std::vector<std::string> input;
  bool jsonl = false;
};

struct LogitsOptions {
  RuntimeOptions runtime;
  std::string tokens_file;
  std::string out;
};

struct PerplexityOptions {
  RuntimeOptions runtime;
  std::string file;
  bool tokens = false;  // the file holds ids, not text
  int64_t window = 0;   // tokens; 0: the model's context
  bool json = false;
};

struct SynthCommandOptions {
  std::string preset;
  int32_t layers = 0;
  uint64_t seed = 0;
  std::string out;
  std::string tokenizer;
};

struct HarmonyRenderOptions {
  RuntimeOptions runtime;
  std::string file;
  bool text = false;
  std::string drop_rule = "library";
};
struct HarmonyParseOptions {
  RuntimeOptions runtime;
  std::string file;
  bool stream = false;
};

struct VersionOptions {
  bool verbose = false;
};

// Text made of the option table itself: the man page, the completion of a shell.
struct PrintOptions {
  std::string text;
};

using Command = std::variant<GenerateOptions, InspectOptions, TokenizeOptions, DetokenizeOptions,
                             LogitsOptions, PerplexityOptions, SynthCommandOptions, HarmonyRenderOptions,
                             HarmonyParseOptions, VersionOptions, PrintOptions>;

// nullopt: help was asked for and printed. Throws Error(kUsage, kUnsupported) with one line.
std::optional<Command> ParseCommandLine(int argc, const char* const* argv);

// One function a command, one file each. They return the exit code and throw Error.
int Run(const GenerateOptions& options);
int Run(const InspectOptions& options);
int Run(const TokenizeOptions& options);
int Run(const DetokenizeOptions& options);
int Run(const LogitsOptions& options);
int Run(const PerplexityOptions& options);
int Run(const SynthCommandOptions& options);
int Run(const HarmonyRenderOptions& options);
int Run(const HarmonyParseOptions& options);
int Run(const VersionOptions& options);
int Run(const PrintOptions& options);

}  // namespace oxidized::cli
