// Options of answering (the program without a command), and what follows from several of them together.
#include <cstdlib>
#include <random>

#include "base/error.h"
#include "base/log.h"
#include "cli/options/command.h"
#include "cli/options/date.h"
#include "cli/options/device_wish.h"
#include "cli/options/options.h"
#include "moe/trace.h"
#include "report/moe_page.h"
#include "report/svg_chart.h"

namespace oxidized::cli {
namespace {

const std::map<std::string, ReasoningEffort> kEfforts = {
    {"low", ReasoningEffort::kLow}, {"medium", ReasoningEffort::kMedium}, {"high", ReasoningEffort::kHigh}};

// "true" and "false" are what CLI11 makes of other words for on and off.
Value View(ReasoningView& view) {
  static const std::map<std::string, ReasoningView> kViews = {{"hidden", ReasoningView::kHidden},
                                                              {"false", ReasoningView::kHidden},
                                                              {"dim", ReasoningView::kDim},
                                                              {"true", ReasoningView::kDim},
                                                              {"plain", ReasoningView::kPlain}};
  constexpr const char* kWords = "dim|plain|hidden";
  return {kWords, [&view](const std::string& text) {
            const auto found = kViews.find(text);
            if (found == kViews.end()) NoneOf(text, kWords);
            view = found->second;
          }};
}

// Every text holds an empty one: an answer would end before it begins.
Value StopText(std::vector<std::string>& stop) {
  return {"TEXT",
          [&stop](const std::string& text) {
            if (text.empty()) throw BadValue{"'' is not text to stop at"};
            stop.push_back(text);
          },
          true};
}

struct GenerateFlags {
  DateWish date;
  bool enable_moe = true, no_color = false, version = false;
  Command::Given seed_given;
};

std::vector<OptionRule> Rules(const GenerateOptions& o) {
  using Kind = OptionRule::Kind;
  return {
      {{"--interactive"}, Kind::kContradicts, {"--prompt", "--prompt-file", "--json"}},
      {{"--interactive"}, Kind::kContradicts, {"--raw"}, "a chat needs the chat format"},
      {{"--benchmark-moe"},
       Kind::kContradicts,
       {"--prompt", "--prompt-file", "--interactive"},
       "it runs its own prompts"},
      {{"--system", "--developer", "--model-identity", "--reasoning-effort", "--show-reasoning",
        "--max-reasoning-tokens", "--date"},
       Kind::kUselessWith,
       {"--raw"},
       "there is no chat format to carry it"},
      {{"--tokenizer-path",
        "--max-tokens",
        "--temperature",
        "--top-p",
        "--top-k",
        "--min-p",
        "--repetition-penalty",
        "--presence-penalty",
        "--frequency-penalty",
        "--stop",
        "--system",
        "--developer",
        "--model-identity",
        "--reasoning-effort",
        "--show-reasoning",
        "--max-reasoning-tokens",
        "--date",
        "--speculate",
        "--raw",
        "--moe-report",
        "--moe-trace",
        "--moe-window"},
       Kind::kUselessWith,
       {"--benchmark-moe"},
       "it runs prompts of its own and shows no answer"},
      {{"--top-p", "--top-k", "--min-p", "--seed"},
       Kind::kIdleWith,
       {"--temperature"},
       "0 takes the most likely token whatever they are",
       [&o] { return o.sampling.temperature == 0.0; }},
      {{"--benchmark-runs", "--benchmark-plot"}, Kind::kNeeds, {"--benchmark-moe"}},
      {{"--moe-trace-logits"}, Kind::kNeeds, {"--moe-trace"}},
      {{"--force"}, Kind::kNeeds, {"--moe-report", "--moe-trace", "--benchmark-plot"}},
      {{"--moe-window"}, Kind::kNeeds, {"--show-moe-metrics", "--moe-report", "--interactive"}},
  };
}

void AddOptions(Command& c, GenerateOptions& o, GenerateFlags& flags) {
  AddModelOptions(c, o.runtime);
  const auto device = AddExecutorOptions(c, o.runtime);
  o.runtime.speculation = SpeculationOptions::Auto();

  c.Group("Generation");
  c.Add("-p,--prompt", Text(o.prompt),
        "Answer this and exit; - reads standard input, a pipe is read after it. The answer alone goes to "
        "stdout");
  c.Add("-f,--prompt-file", File(o.prompt_file), "Answer the text of this file, after that of --prompt");
  c.AddFlag("-i,--interactive", o.interactive, "Chat in the terminal");
  c.Add("--max-tokens", Number(o.max_tokens, 0, 1 << 30), "New tokens at most, reasoning included [512]");
  c.Add("--temperature", Number(o.sampling.temperature, 0, 100, "T"),
        "0 is greedy [0.7; OpenAI recommends 1.0 for gpt-oss]");
  c.Add("--top-p", Number(o.sampling.top_p, 1e-6, 1, "P"), "Nucleus sampling [0.9; OpenAI recommends 1.0]");
  c.Add("--top-k", Number(o.sampling.top_k, 0, 1 << 24, "K"), "Keep the K most likely tokens; 0: off");
  c.Add("--min-p", Number(o.sampling.min_p, 0, 1, "P"),
        "Drop tokens below this share of the most likely one; 0: off");
  c.Add("--repetition-penalty", Number(o.sampling.repetition_penalty, 1e-3, 1e3, "F"), "1: off");
  c.Add("--presence-penalty", Number(o.sampling.presence_penalty, -100, 100, "F"), "0: off");
  c.Add("--frequency-penalty", Number(o.sampling.frequency_penalty, -100, 100, "F"), "0: off");
  flags.seed_given =
      c.Add("--seed", Seed(o.sampling.seed), "Same seed, same text, whatever the threads and chunks [random]")
          .given();
  c.Add("--stop", StopText(o.stop), "End the answer before this text; may be given again");
  c.Add("--system", Text(o.system), "Instructions for the model (Harmony's developer message)");
  c.Add("--developer", Text(o.developer), "The same, after those of --system");
  c.Add("--model-identity", Text(o.model_identity),
        "First line of the system message [the one gpt-oss was trained with]");
  c.Add("--reasoning-effort", Choice(o.reasoning_effort, kEfforts), "How much the model reasons [medium]");
  c.Add("--max-reasoning-tokens", Number(o.max_reasoning_tokens, 0, 1 << 30),
        "Then the answer is forced to begin");
  c.Add("--date", Date(flags.date), "Date in the system message: YYYY-MM-DD, none, or today [today]");
  c.AddFlag("--show-reasoning", "dim", View(o.reasoning_view),
            "Show the reasoning, on stderr: dim (the default of the option), plain, or hidden");
  AddSpeculationOptions(c, o.runtime.speculation);
  c.AddFlag("--raw", o.raw, "Continue the prompt as it is, without the chat format");

  c.Group("Experts");
  c.AddFlag("--enable-moe", flags.enable_moe, "On by itself: every gpt-oss model is a mixture of experts",
            "BOOL");
  AddRoutingOptions(c, o.routing, o.runtime.device.experts);
  c.AddFlag("--show-moe-metrics", o.show_moe_metrics,
            "Table of routing metrics at the end, on stderr; with --json also in the record");
  c.Add("--moe-report", Output(o.moe_report, kMoePageSign), "Write what routing did as one page of HTML");
  c.Add("--moe-trace", Output(o.moe_trace, kTraceSign),
        "Write each token's experts, weights and margin, layer by layer (docs/moe.md has the format)");
  c.AddFlag("--moe-trace-logits", o.moe_trace_logits,
            "Put the routers' logits into the trace too: several times its size");
  c.Add("--moe-window", Number(o.moe_window, 1, 1 << 20),
        "Tokens of the sliding window of routing metrics [1024]");
  c.AddFlag("--benchmark-moe", o.benchmark_moe,
            "Measure the mixture of experts stage by stage instead of answering; the result is on stdout");
  c.Add("--benchmark-runs", Number(o.benchmark_runs, 1, 1000), "Runs of the benchmark [3]");
  c.Add("--benchmark-plot", Output(o.benchmark_plot, kPictureSign),
        "Write the benchmark's figures as a picture (SVG)");

  c.Group("Machine");
  device->AddUseMetal(c);
  c.AddFlag("--memory-stats", o.memory_stats,
            "Where the bytes are, at the end, on stderr; with --json also in the record");
  c.AddFlag(
      "--dry-run", o.dry_run,
      "Say what would fit and how fast it could be, from headers and measured speeds; load nothing. Exit "
      "code 4: it does not fit");

  c.Group("Output");
  c.AddFlag("--json", o.json, "One JSON record of the answer and its timings on stdout");
  c.AddFlag("-v,--verbose", o.verbose, "More about what happens; with --version: CPU and libraries");
  c.AddFlag("--no-color", flags.no_color, "No colours (also: NO_COLOR)");
  c.AddFlag("--version", flags.version, "Print the version");
  c.AddRules(Rules(o));
}

// Checks that need several options at once, and what follows from them.
void Finish(GenerateOptions& o, const GenerateFlags& flags) {
  if (!flags.enable_moe) {
    Fail(ErrorKind::kUsage,
         "--enable-moe=false: gpt-oss is a mixture-of-experts model and cannot run without its experts");
  }
  if (!flags.seed_given) {
    std::random_device device;
    o.sampling.seed = (uint64_t{device()} << 32 | device()) >> 11;  // exact as a JSON number
  }
  o.date = flags.date.Now();
  const char* no_color = std::getenv("NO_COLOR");  // no-color.org: any value but an empty one
  o.color = !flags.no_color && (no_color == nullptr || *no_color == '\0');
  if (o.benchmark_moe) o.runtime.speculation = {};  // it measures single rows
  o.runtime.device.read_ahead = true;
  o.runtime.text = o.benchmark_moe ? TextParts::kNone : o.raw ? TextParts::kTokens : TextParts::kChat;
}

}  // namespace

Action AddGenerate(Command& command) {
  auto options = std::make_shared<GenerateOptions>();
  auto flags = std::make_shared<GenerateFlags>();
  AddOptions(command, *options, *flags);
  return [options, flags] {
    if (flags->version) return PrintVersion(options->verbose);
    Finish(*options, *flags);
    return RunGenerate(*options);
  };
}

}  // namespace oxidized::cli
