// The command line as a table: every option, its bounds, its help text. Options that this version does not
// fulfil yet are refused by name here, never ignored.
#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <map>
#include <random>

#include "base/error.h"
#include "base/log.h"
#include "cli/options.h"
#include "cli/parse_table.h"

namespace oxidized::cli {
namespace {

const std::map<std::string, ExecutorKind> kExecutors = {
    {"auto", ExecutorKind::kAuto}, {"reference", ExecutorKind::kReference}, {"cpu", ExecutorKind::kCpu}};
const std::map<std::string, Precision> kPrecisions = {{"auto", Precision::kAuto},
                                                      {"f32", Precision::kF32},
                                                      {"bf16", Precision::kBf16},
                                                      {"f16", Precision::kF16}};
const std::map<std::string, RoutingStrategy> kStrategies = {{"topk", RoutingStrategy::kTopK},
                                                            {"switch", RoutingStrategy::kSwitch},
                                                            {"expert1", RoutingStrategy::kExpert1}};
const std::map<std::string, ReasoningEffort> kEfforts = {
    {"low", ReasoningEffort::kLow}, {"medium", ReasoningEffort::kMedium}, {"high", ReasoningEffort::kHigh}};

// "true" and "false" are what CLI11 makes of other words for on and off.
const std::map<std::string, ReasoningView> kReasoningViews = {{"hidden", ReasoningView::kHidden},
                                                              {"false", ReasoningView::kHidden},
                                                              {"dim", ReasoningView::kDim},
                                                              {"true", ReasoningView::kDim},
                                                              {"plain", ReasoningView::kPlain}};

// A finite number in [low, high]; CLI11's own range check lets NaN through.
CLI::Validator Within(double low, double high) {
  return CLI::Validator(
      [low, high](std::string& text) -> std::string {
        double value = 0.0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (error == std::errc() && end == text.data() + text.size() && value >= low && value <= high)
          return "";
        return fmt::format("'{}' is no number from {} to {}", text, low, high);
      },
      fmt::format("{}..{}", low, high));
}

// Any 64-bit number; CLI11 itself would wrap a negative one around.
const CLI::Validator kSeed(
    [](std::string& text) -> std::string {
      uint64_t value = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
      if (error == std::errc() && end == text.data() + text.size()) return "";
      return fmt::format("'{}' is no number from 0 to 2^64 - 1", text);
    },
    "");

template <typename T>
CLI::Option* AddChoice(CLI::App& app, const std::string& name, T& value,
                       const std::map<std::string, T>& choices, const std::string& help) {
  std::string names;
  for (const auto& [key, unused] : choices) names += (names.empty() ? "" : "|") + key;
  return app
      .add_option_function<std::string>(
          name,
          [&value, &choices, name, names](const std::string& text) {
            const auto found = choices.find(text);
            if (found == choices.end())
              throw CLI::ValidationError(name, fmt::format("'{}' is none of {}", text, names));
            value = found->second;
          },
          help)
      ->type_name(names);
}

void AddModelOptions(CLI::App& app, RuntimeOptions& o) {
  app.add_option("-m,--model-path", o.model_path,
                 "Model folder or file. Default: $OXIDIZED_MODEL_PATH, $OXIDIZED_MODEL, else the small model "
                 "that comes with the program")
      ->type_name("PATH");
  app.add_option("-t,--tokenizer-path", o.tokenizer_path,
                 "tokenizer.json or tiktoken rank file. Default: beside the model")
      ->type_name("PATH");
}

void AddExecutorOptions(CLI::App& app, RuntimeOptions& o) {
  AddChoice(app, "--executor", o.executor, kExecutors,
            "What computes: reference is the scalar, exact, slow specification");
  AddChoice(app, "--precision", o.precision, kPrecisions,
            "Type of the KV cache and of the inputs of dot products; accumulation stays f32. auto: the best "
            "the executor has");
  app.add_option("--threads", o.threads, "Threads. Default: the processors this process may use")
      ->check(Within(1, 1024))
      ->type_name("N");
  app.add_option("--context", o.context, "Tokens a conversation may have. Default: what the model allows")
      ->check(Within(1, 1 << 30))
      ->type_name("N");
  app.add_option("--chunk-tokens", o.chunk_tokens,
                 "Most prompt tokens in one step; the result does not depend on it")
      ->check(Within(1, 1 << 20))
      ->type_name("N");
  app.add_flag("--use-mmap", o.use_mmap, "Map the weights (default); =false reads them into memory")
      ->type_name("BOOL");
}

std::string Today() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  return fmt::format("{:04}-{:02}-{:02}", local.tm_year + 1900, local.tm_mon + 1, local.tm_mday);
}

bool IsDate(const std::string& text) {
  std::tm parsed{};
  const char* end = strptime(text.c_str(), "%Y-%m-%d", &parsed);
  if (text.size() != 10 || end == nullptr || *end != '\0') return false;
  std::tm normal = parsed;  // timegm turns February 30 into March
  timegm(&normal);
  return normal.tm_mday == parsed.tm_mday;
}

// Environment names of all options: OXIDIZED_ and the long name. --model-path is $OXIDIZED_MODEL.
void NameEnvironment(CLI::App& app) {
  for (CLI::Option* option : app.get_options()) {
    if (option->get_lnames().empty() || option->get_name() == "--help") continue;
    std::string name = option->get_lnames().front();
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return c == '-' ? '_' : static_cast<char>(std::toupper(c)); });
    option->envname("OXIDIZED_" + name);
  }
  for (CLI::App* command : app.get_subcommands({})) NameEnvironment(*command);
}

// CLI11 reads a config file to its end, whatever it is.
std::string CheckConfigFile(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return path + ": no such file";
  if (std::filesystem::file_size(path, error) > (1 << 20)) return path + ": too large for a file of options";
  return "";
}

// Options written before a command belong to answering; the command would not see them.
void RefuseOptionsBeforeCommand(const CLI::App& app, int argc, const char* const* argv) {
  const auto parsed = app.get_subcommands();
  if (parsed.empty()) return;
  for (int i = 1; i < argc && argv[i] != parsed[0]->get_name(); ++i) {
    if (argv[i][0] == '-') {
      Fail(ErrorKind::kUsage, "{} before {} has no effect: options of a command come after it", argv[i],
           parsed[0]->get_name());
    }
  }
}

// What only the chat format can use.
constexpr const char* kChatOnly[] = {"--system",
                                     "--developer",
                                     "--model-identity",
                                     "--reasoning-effort",
                                     "--show-reasoning",
                                     "--max-reasoning-tokens",
                                     "--date"};

// Options whose effect this version does not have yet.
struct Later {
  const char* name;
  const char* type;  // nullptr: a flag
  const char* help;
};
constexpr Later kNotYet[] = {
    {"--expert-memory", "BYTES", "Keep at most so many bytes of experts in memory"},
    {"--dry-run", nullptr, "Say what would fit, load nothing"},
    {"--moe-report", "FILE", "Routing report as a page"},
    {"--moe-trace", "FILE", "Routing trace"},
};

struct GenerateFlags {
  bool enable_moe = true, use_metal = true, no_color = false, version = false;
  std::string date = "today", device = "auto", show_reasoning = "hidden";
  CLI::Option *use_metal_option = nullptr, *device_option = nullptr, *seed_option = nullptr,
              *num_experts_option = nullptr, *k_option = nullptr;
};

void AddGenerateOptions(CLI::App& app, GenerateOptions& o, GenerateFlags& flags) {
  AddModelOptions(app, o.runtime);
  AddExecutorOptions(app, o.runtime);

  app.add_option("-p,--prompt", o.prompt,
                 "Answer this and exit; - reads standard input. The answer alone goes to stdout")
      ->type_name("TEXT")
      ->group("Generation");
  app.add_flag("-i,--interactive", o.interactive, "Chat in the terminal")->group("Generation");
  const auto option = [&](const char* name, auto& value, const char* help, const char* type) {
    return app.add_option(name, value, help)->type_name(type)->group("Generation");
  };
  option("--max-tokens", o.max_tokens, "New tokens at most, reasoning included [512]", "N")
      ->check(Within(0, 1 << 30));
  option("--temperature", o.sampling.temperature, "0 is greedy [0.7; OpenAI recommends 1.0 for gpt-oss]", "T")
      ->check(Within(0, 100));
  option("--top-p", o.sampling.top_p, "Nucleus sampling [0.9; OpenAI recommends 1.0]", "P")
      ->check(Within(1e-6, 1));
  option("--top-k", o.sampling.top_k, "Keep the K most likely tokens; 0: off", "K")
      ->check(Within(0, 1 << 24));
  option("--min-p", o.sampling.min_p, "Drop tokens below this share of the most likely one; 0: off", "P")
      ->check(Within(0, 1));
  option("--repetition-penalty", o.sampling.repetition_penalty, "1: off", "F")->check(Within(1e-3, 1e3));
  option("--presence-penalty", o.sampling.presence_penalty, "0: off", "F")->check(Within(-100, 100));
  option("--frequency-penalty", o.sampling.frequency_penalty, "0: off", "F")->check(Within(-100, 100));
  flags.seed_option =
      option("--seed", o.sampling.seed, "Same seed, same text, whatever the threads and chunks [random]", "N")
          ->check(kSeed);
  option("--stop", o.stop, "End the answer before this text; may be given again", "TEXT")
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  option("--system", o.system, "Instructions for the model (Harmony's developer message)", "TEXT");
  option("--developer", o.developer, "The same, after those of --system", "TEXT");
  option("--model-identity", o.model_identity,
         "First line of the system message [the one gpt-oss was trained with]", "TEXT");
  AddChoice(app, "--reasoning-effort", o.reasoning_effort, kEfforts, "How much the model reasons [medium]")
      ->group("Generation");
  option("--max-reasoning-tokens", o.max_reasoning_tokens, "Then the answer is forced to begin", "N")
      ->check(Within(0, 1 << 30));
  option("--date", flags.date, "Date in the system message: YYYY-MM-DD, none, or today [today]", "DATE");
  app.add_flag("--show-reasoning{dim}", flags.show_reasoning,
               "Show the reasoning, on stderr: dim (the default of the option), plain, or hidden")
      ->type_name("dim|plain|hidden")
      ->group("Generation");
  app.add_flag("--raw", o.raw, "Continue the prompt as it is, without the chat format")->group("Generation");

  app.add_flag("--enable-moe", flags.enable_moe, "On by itself: every gpt-oss model is a mixture of experts")
      ->type_name("BOOL")
      ->group("Experts");
  flags.num_experts_option = app.add_option("--num-experts", o.routing.num_experts,
                                            "Only the first N experts may be chosen: an ablation")
                                 ->check(Within(1, 1 << 20))
                                 ->type_name("N")
                                 ->group("Experts");
  flags.k_option = app.add_option("--experts-per-token", o.routing.experts_per_token,
                                  "Experts a token uses [the model's own]")
                       ->check(Within(1, 256))
                       ->type_name("K")
                       ->group("Experts");
  AddChoice(app, "--routing-strategy", o.routing.strategy, kStrategies,
            "topk is the model's own rule; the others change its answers")
      ->group("Experts");
  app.add_option_function<double>(
         "--expert-capacity-factor", [&o](const double& factor) { o.routing.capacity_factor = factor; },
         "Limit of tokens an expert takes in one step, as a multiple of an even load [switch: 1.0, topk: "
         "none]; "
         "results then depend on --chunk-tokens")
      ->check(Within(1e-9, 1e9))
      ->type_name("F")
      ->group("Experts");
  app.add_flag("--show-moe-metrics", o.show_moe_metrics, "Table of routing metrics at the end, on stderr")
      ->group("Experts");

  app.add_flag("--benchmark-moe", o.benchmark_moe,
               "Measure routing, expert compute and end to end instead of answering; the result is on stdout")
      ->group("Experts");
  app.add_option("--benchmark-runs", o.benchmark_runs, "Runs of the benchmark [3]")
      ->check(Within(1, 1000))
      ->type_name("N")
      ->group("Experts");

  flags.use_metal_option = app.add_flag("--use-metal", flags.use_metal,
                                        "Use a GPU if this build and machine have one; =false: --device cpu")
                               ->type_name("BOOL")
                               ->group("Machine");
  flags.device_option = app.add_option("--device", flags.device, "auto|cpu [auto]")
                            ->check(CLI::IsMember({"auto", "cpu", "cuda", "metal"}))
                            ->type_name("auto|cpu")
                            ->group("Machine");
  app.add_flag("--memory-stats", o.memory_stats, "Where the bytes are, at the end, on stderr")
      ->group("Machine");

  app.add_flag("--json", o.json, "One JSON record of the answer, its timings, routing and memory on stdout")
      ->group("Output");
  app.add_flag("-v,--verbose", o.verbose, "More about what happens; with --version: CPU and libraries")
      ->group("Output");
  app.add_flag("--no-color", flags.no_color, "No colours (also: NO_COLOR)")->group("Output");
  app.add_flag("--version", flags.version, "Print the version")->group("Output");
  for (const Later& later : kNotYet) {
    CLI::Option* refused =
        later.type == nullptr
            ? app.add_flag_callback(
                  later.name, [&later] { Fail(ErrorKind::kUnsupported, "{} is not yet there", later.name); })
            : app.add_option_function<std::string>(later.name,
                                                   [&later](const std::string&) {
                                                     Fail(ErrorKind::kUnsupported, "{} is not yet there",
                                                          later.name);
                                                   })
                  ->type_name(later.type);
    refused->description(fmt::format("{} (not yet there)", later.help))->group("Later");
  }
  const char* config = std::getenv("OXIDIZED_CONFIG");
  app.set_config("--config", config != nullptr ? config : "",
                 "Options from a file, one `name = value` a line", config != nullptr && *config != '\0')
      ->check(CheckConfigFile)
      ->group("Output")
      ->type_name("FILE");
}

// Checks that need several options at once, and what follows from them.
void FinishGenerate(GenerateOptions& o, const GenerateFlags& flags) {
  if (!flags.enable_moe) {
    Fail(ErrorKind::kUsage,
         "--enable-moe=false: gpt-oss is a mixture-of-experts model and cannot run without its experts");
  }
  if (flags.device == "cuda" || flags.device == "metal") {
    Fail(ErrorKind::kUnsupported, "--device {} is not yet there; use --device cpu", flags.device);
  }
  if (flags.use_metal_option->count() > 0 && flags.use_metal) {
    if (flags.device_option->count() > 0)
      Fail(ErrorKind::kUsage, "--use-metal and --device say the same thing; give one of them");
    Log(LogLevel::kWarning, "--use-metal: this build has no GPU support, the CPU is used instead");
  }
  if (flags.date == "today") {
    o.date = Today();
  } else if (flags.date != "none") {
    if (!IsDate(flags.date))
      Fail(ErrorKind::kUsage, "--date: '{}' is no date like 2026-01-31, nor none, nor today", flags.date);
    o.date = flags.date;
  }
  if (flags.seed_option->count() == 0) {
    std::random_device device;
    o.sampling.seed = (uint64_t{device()} << 32 | device()) >> 11;  // exact as a JSON number
  }
  const char* no_color = std::getenv("NO_COLOR");  // no-color.org: any value but an empty one
  o.color = !flags.no_color && (no_color == nullptr || *no_color == '\0');
  const auto view = kReasoningViews.find(flags.show_reasoning);
  if (view == kReasoningViews.end())
    Fail(ErrorKind::kUsage, "--show-reasoning: '{}' is none of dim, plain, hidden", flags.show_reasoning);
  o.reasoning_view = view->second;
  if (o.benchmark_moe && (o.prompt || o.interactive))
    Fail(ErrorKind::kUsage, "--benchmark-moe runs its own prompts: leave out --prompt and --interactive");
  if (o.interactive && o.prompt) Fail(ErrorKind::kUsage, "--prompt and --interactive exclude each other");
  if (o.interactive && o.raw)
    Fail(ErrorKind::kUsage, "--raw and --interactive exclude each other: a chat needs the chat format");
  if (o.interactive && o.json) Fail(ErrorKind::kUsage, "--json and --interactive exclude each other");
  if (!o.prompt && !o.interactive && !o.benchmark_moe) {
    Fail(ErrorKind::kUsage,
         "nothing to do: give --prompt TEXT, --interactive, or a command; --help lists them");
  }
  if (o.routing.strategy != RoutingStrategy::kTopK) {
    if (flags.k_option->count() > 0 && o.routing.experts_per_token != 1) {
      Log(LogLevel::kWarning,
          "--routing-strategy {} uses 1 expert a token; --experts-per-token {} is ignored",
          Name(o.routing.strategy), o.routing.experts_per_token);
    }
    o.routing.experts_per_token = 1;
  }
  if (o.routing.strategy == RoutingStrategy::kExpert1 && o.routing.capacity_factor) {
    Log(LogLevel::kWarning,
        "--routing-strategy expert1 has no capacity; --expert-capacity-factor is ignored");
    o.routing.capacity_factor.reset();
  }
}

}  // namespace

std::optional<Command> ParseCommandLine(int argc, const char* const* argv) {
  CLI::App app("Runs OpenAI's gpt-oss models.", "oxidized_gpt_oss");
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);  // a later one overrides
  app.require_subcommand(0, 1);
  app.fallthrough(false);

  GenerateOptions generate;
  GenerateFlags flags;
  AddGenerateOptions(app, generate, flags);

  InspectOptions inspect;
  CLI::App* inspect_app =
      app.add_subcommand("inspect", "Configuration, tensors, sizes and bytes per token of a model");
  inspect_app->add_option("path", inspect.path, "Model folder or file [the small model]")->type_name("PATH");
  inspect_app->add_flag("--json", inspect.json, "As JSON");

  TokenizeOptions tokenize;
  CLI::App* tokenize_app = app.add_subcommand("tokenize", "Text to token ids");
  AddModelOptions(*tokenize_app, tokenize.runtime);
  tokenize_app->add_option("text", tokenize.input, "Text; - reads standard input")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->type_name("TEXT");
  tokenize_app->add_flag("--jsonl", tokenize.jsonl,
                         "Each line of standard input is a JSON string, each line out an array of ids");
  tokenize_app->add_flag("--specials", tokenize.specials, "The text of a special token becomes that token");

  DetokenizeOptions detokenize;
  CLI::App* detokenize_app = app.add_subcommand("detokenize", "Token ids to text");
  AddModelOptions(*detokenize_app, detokenize.runtime);
  detokenize_app->add_option("ids", detokenize.input, "Ids separated by spaces; - reads standard input")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->type_name("IDS");
  detokenize_app->add_flag("--jsonl", detokenize.jsonl,
                           "Each line of standard input is an array of ids, each line out a JSON string");

  LogitsOptions logits;
  CLI::App* logits_app =
      app.add_subcommand("logits", "Raw logits of a token sequence as float32 .npy [T, V]");
  AddModelOptions(*logits_app, logits.runtime);
  AddExecutorOptions(*logits_app, logits.runtime);
  logits_app->add_option("--tokens", logits.tokens_file, "File of ids separated by white space")
      ->required()
      ->type_name("FILE");
  logits_app->add_option("--out", logits.out, "File to write")->required()->type_name("FILE");

  PerplexityOptions perplexity;
  CLI::App* perplexity_app = app.add_subcommand("perplexity", "Perplexity of a text under the model");
  AddModelOptions(*perplexity_app, perplexity.runtime);
  AddExecutorOptions(*perplexity_app, perplexity.runtime);
  perplexity_app->add_option("file", perplexity.file, "Text file; - reads standard input")
      ->required()
      ->type_name("FILE");
  perplexity_app->add_flag("--tokens", perplexity.tokens, "The file holds ids separated by white space");
  perplexity_app->add_option("--window", perplexity.window, "Tokens scored together [the context]")
      ->check(Within(2, 1 << 30))
      ->type_name("N");
  perplexity_app->add_flag("--json", perplexity.json, "As JSON");

  SynthCommandOptions synth;
  CLI::App* synth_app =
      app.add_subcommand("synth", "Write a checkpoint of random weights in the published form");
  synth_app->add_option("--preset", synth.preset, "Shape of the model")
      ->required()
      ->check(CLI::IsMember({"gpt-oss-20b", "gpt-oss-120b", "small", "tiny"}))
      ->type_name("gpt-oss-20b|gpt-oss-120b|small|tiny");
  synth_app->add_option("--layers", synth.layers, "Layers [the preset's]")
      ->check(Within(1, 1024))
      ->type_name("N");
  synth_app->add_option("--seed", synth.seed, "Same seed, same bytes [0]")->check(kSeed)->type_name("N");
  synth_app->add_option("--out", synth.out, "Folder to make")->required()->type_name("DIR");
  synth_app->add_option("--tokenizer", synth.tokenizer, "tokenizer.json to put beside it")->type_name("FILE");

  CLI::App* harmony_app = app.add_subcommand("harmony", "The Harmony chat format");
  harmony_app->require_subcommand(1);
  HarmonyRenderOptions render;
  CLI::App* render_app = harmony_app->add_subcommand("render", "Conversation JSON to the completion prompt");
  AddModelOptions(*render_app, render.runtime);
  render_app
      ->add_option("file", render.file, "Conversation in openai-harmony's JSON form; - reads standard input")
      ->required()
      ->type_name("FILE");
  render_app->add_flag("--text", render.text, "Text with special tokens spelled out instead of ids");
  render_app
      ->add_option("--drop-rule", render.drop_rule,
                   "Which old reasoning leaves the prompt: library (openai-harmony's rule), turn (the "
                   "chat's), none [library]")
      ->check(CLI::IsMember({"library", "turn", "none"}))
      ->type_name("library|turn|none");
  HarmonyParseOptions parse;
  CLI::App* parse_app = harmony_app->add_subcommand("parse", "Token ids to messages as JSON");
  AddModelOptions(*parse_app, parse.runtime);
  parse_app->add_option("file", parse.file, "Ids; - reads standard input")->required()->type_name("FILE");
  parse_app->add_flag("--stream", parse.stream, "One line of JSON for each event");

  CLI::App* completion_app =
      app.add_subcommand("completion", "Completion script for a shell, to be loaded by it");
  std::string shell;
  completion_app->add_option("shell", shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}))
      ->type_name("bash|zsh|fish");
  CLI::App* man_app = app.add_subcommand("man", "The manual page: try `oxidized_gpt_oss man | man -l -`");

  app.allow_config_extras(CLI::config_extras_mode::error);
  NameEnvironment(app);

  try {
    app.parse(argc, argv);
    RefuseOptionsBeforeCommand(app, argc, argv);
  } catch (const CLI::CallForHelp& help) {
    app.exit(help);
    return std::nullopt;
  } catch (const CLI::ConfigError& error) {
    Fail(ErrorKind::kUsage, "the config file: {} (one `name = value` a line, names as in --help)",
         error.what());
  } catch (const CLI::FileError& error) {
    Fail(ErrorKind::kBadFile, "{}", error.what());
  } catch (const CLI::ParseError& error) {
    std::string message = error.what();
    std::replace(message.begin(), message.end(), '\n', ' ');
    Fail(ErrorKind::kUsage, "{} (--help lists the options)", message);
  }

  if (inspect_app->parsed()) return inspect;
  if (tokenize_app->parsed()) return tokenize;
  if (detokenize_app->parsed()) return detokenize;
  if (logits_app->parsed()) return logits;
  if (perplexity_app->parsed()) return perplexity;
  if (synth_app->parsed()) return synth;
  if (render_app->parsed()) return render;
  if (parse_app->parsed()) return parse;
  if (completion_app->parsed()) return PrintOptions{Completion(MakeOptionTable(app), shell)};
  if (man_app->parsed()) return PrintOptions{ManPage(MakeOptionTable(app))};
  if (flags.version) return VersionOptions{generate.verbose};
  if (!generate.benchmark_moe && app.get_option("--benchmark-runs")->count() > 0) {
    Fail(ErrorKind::kUsage, "--benchmark-runs needs --benchmark-moe");
  }
  for (const char* name : kChatOnly) {
    if (generate.raw && app.get_option(name)->count() > 0) {
      Fail(ErrorKind::kUsage, "{} has no effect with --raw: there is no chat format to carry it", name);
    }
  }
  FinishGenerate(generate, flags);
  return generate;
}

}  // namespace oxidized::cli
