#include "cli/options/command.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <type_traits>

#include "base/error.h"
#include "base/log.h"
#include "checkpoint/locate.h"
#include "cli/options/default_model.h"
#include "cli/options/device_wish.h"
#include "cli/terminal/download_report.h"
#include "parallel/cpu_topology.h"

namespace oxidized::cli {
namespace {

template <typename T>
bool ParseWhole(const std::string& text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

Value Text(std::string& value, std::string type) {
  return {std::move(type), [&value](const std::string& text) { value = text; }};
}
Value Text(std::optional<std::string>& value, std::string type) {
  return {std::move(type), [&value](const std::string& text) { value = text; }};
}
Value File(std::string& value) {
  Value file = Text(value, "FILE");
  file.input = true;
  return file;
}
Value File(std::optional<std::string>& value) {
  Value file = Text(value, "FILE");
  file.input = true;
  return file;
}
// An empty path is a shell variable that was not set; to leave the option out is another wish.
Value Path(std::filesystem::path& value, std::string type) {
  Value path{std::move(type), [&value](const std::string& text) {
               if (text.empty()) throw BadValue{"'' does not name a file or folder"};
               value = text;
             }};
  path.input = true;
  return path;
}
Value Output(OutputName& value, std::string_view sign) {
  value.rule.sign = sign;
  Value path = Path(value.path, "FILE");
  path.input = false;
  path.output = &value;
  return path;
}
Value Words(std::vector<std::string>& values, std::string type) {
  return {std::move(type), [&values](const std::string& text) { values.push_back(text); }, true};
}

Value Seed(uint64_t& value) {
  return {"N", [&value](const std::string& text) {
            if (!ParseWhole(text, value))
              throw BadValue{fmt::format("'{}' is not a number from 0 to 2^64 - 1", text)};
          }};
}

namespace {
double RealIn(const std::string& text, double low, double high) {
  double number = 0.0;
  if (!ParseWhole(text, number) || !(number >= low && number <= high))  // NaN is in no range
    throw BadValue{fmt::format("'{}' is not a number from {} to {}", text, low, high)};
  return number;
}
}  // namespace

Value Number(double& value, double low, double high, std::string type) {
  return {std::move(type), [&value, low, high](const std::string& text) { value = RealIn(text, low, high); }};
}
Value Number(std::optional<double>& value, double low, double high, std::string type) {
  return {std::move(type), [&value, low, high](const std::string& text) { value = RealIn(text, low, high); }};
}

Value NumberValue(double low, double high, std::string type, std::function<void(int64_t)> set) {
  return {std::move(type), [=](const std::string& text) {
            int64_t number = 0;
            if (!ParseWhole(text, number) || static_cast<double>(number) < low ||
                static_cast<double>(number) > high)
              throw BadValue{fmt::format("'{}' is not a whole number from {} to {}", text, low, high)};
            set(number);
          }};
}

Value ThreadCount(int32_t& count) {
  return NumberValue(1, 1024, "N", [&count](int64_t asked) {
    const int64_t processors = DetectCpuTopology().UsableCpus();
    count = static_cast<int32_t>(std::min(asked, processors));
    if (count < asked) {
      Log(LogLevel::kWarning,
          "--threads {}: this process may use {} {}, and no more threads than that are started", asked,
          processors, processors == 1 ? "processor" : "processors");
    }
  });
}

void NoneOf(const std::string& text, const std::string& names) {
  throw BadValue{fmt::format("'{}' is not one of {}", text, names)};
}

// Whoever wants to know later whether an option was given keeps its Given: the parser is gone by then.
static_assert(!std::is_copy_constructible_v<Command::Option> && std::is_copy_constructible_v<Command::Given>);

Command::Option& Command::Option::Required() {
  option_->required();
  return *this;
}

Command::Option Command::Add(const std::string& names, Value value, const std::string& help) {
  const std::string name = names.substr(names.find(',') + 1);
  CLI::Option* option = app_.add_option_function<std::vector<std::string>>(
      names,
      [name, set = value.set, many = value.many](const std::vector<std::string>& texts) {
        // One of them would be passed over in silence.
        if (!many && texts.size() > 1)
          throw CLI::ValidationError(name, fmt::format("given {} times, and takes one value", texts.size()));
        try {
          for (const std::string& text : texts) set(text);
        } catch (const BadValue& bad) {
          throw CLI::ValidationError(name, bad.message);
        }
      },
      help);
  option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)->allow_extra_args(false);
  if (!value.many) option->expected(1);
  option->type_name(value.type);
  if (value.output != nullptr) {
    outputs_.emplace_back(option, value.output);
    if (force_ == nullptr) {
      force_ = std::make_shared<bool>(false);
      AddFlag("--force", *force_, "Let a result replace any file that is there, and go where a link leads");
    }
  }
  if (value.input) inputs_.push_back(option);
  return Added(option);
}

Command::Option Command::Added(CLI::Option* option) {
  if (!group_.empty()) option->group(group_);
  Given given;
  given.source_ = std::make_shared<Source>(Source::kNobody);
  given_.emplace_back(option, given);
  return Option(option, std::move(given));
}

Command::Option Command::AddPositional(const std::string& name, Value value, const std::string& help) {
  Option added = Add(name, value, help);
  if (value.many) added.option_->allow_extra_args(true)->expected(1, std::numeric_limits<int>::max());
  return Option(added.option_, added.given_);
}

Command::Option Command::AddFlag(const std::string& names, bool& value, const std::string& help,
                                 const std::string& type) {
  return AddFlag(names,
                 {type,
                  [&value](const std::string& text) {
                    try {
                      value = CLI::detail::to_flag_value(text) > 0;
                    } catch (const std::logic_error&) {
                      throw BadValue{fmt::format("'{}' is neither true nor false", text)};
                    }
                  }},
                 help);
}

Command::Option Command::AddFlag(const std::string& name, const std::string& standard, const Value& word,
                                 const std::string& help) {
  return AddFlag(name + "{" + standard + "}", word, help);
}

Command::Option Command::AddFlag(const std::string& names, const Value& word, const std::string& help) {
  CLI::Option* option = app_.add_flag(names, help);
  if (!word.type.empty()) option->type_name(word.type);
  // Of a flag it is the check that sees each word; CLI11 puts the option's name before what it says.
  option->check([set = word.set, before = std::optional<std::string>()](const std::string& text) mutable {
    if (before && *before != text) return fmt::format("given as '{}' and as '{}'", *before, text);
    before = text;
    try {
      set(text);
    } catch (const BadValue& bad) {
      return bad.message;
    }
    return std::string();
  });
  return Added(option);
}

void Command::NoteSources(const std::function<Source(const CLI::Option&)>& source_of) const {
  for (const auto& [option, given] : given_) *given.source_ = source_of(*option);
}

void Command::Settle() const {
  for (const auto& settle : after_) settle();
}

void Command::AddRules(std::vector<OptionRule> rules) {
  rules_.insert(rules_.end(), std::make_move_iterator(rules.begin()), std::make_move_iterator(rules.end()));
}

void Command::DropRulesOf(const std::string& option) {
  std::erase_if(rules_, [&](const OptionRule& rule) {
    return std::find(rule.options.begin(), rule.options.end(), option) != rule.options.end();
  });
}

std::vector<InputOption> Command::Inputs() const {
  std::vector<InputOption> files;
  for (const CLI::Option* option : inputs_) {
    const std::vector<std::string>& paths = option->results();
    if (option->get_name() != "--model-path") {
      for (const std::string& path : paths) files.push_back({option->get_name(), path});
    } else if (const auto model = FindModelHere(OrDefaultModel(paths.empty() ? "" : paths.back()))) {
      for (std::filesystem::path& file : FilesOfModel(*model))
        files.push_back({"a file of the model,", std::move(file)});
    }
  }
  files.push_back({"standard input,", "/dev/stdin"});
  return files;
}

std::vector<OutputOption> Command::Outputs() const {
  std::vector<OutputOption> files;
  for (const auto& [option, name] : outputs_) {
    name->rule.replace = *force_;
    if (option->count() > 0) files.push_back({option->get_name(), *name});
  }
  return files;
}

namespace {

const std::map<std::string, Precision> kPrecisions = {{"auto", Precision::kAuto},
                                                      {"f32", Precision::kF32},
                                                      {"bf16", Precision::kBf16},
                                                      {"f16", Precision::kF16}};

const std::map<std::string, ActivationType> kActivations = {{"auto", ActivationType::kAsPrecision},
                                                            {"int8", ActivationType::kInt8}};

}  // namespace

void AddModelPath(Command& command, RuntimeOptions& o) {
  o.download = ReportDownloads();
  command.Add(
      "-m,--model-path", Path(o.model_path),
      "Model folder or file, or hf:org/name[@revision][:QUANT], fetched when it is not there. Default: "
      "$OXIDIZED_MODEL_PATH, $OXIDIZED_MODEL, else the small model "
      "that comes with the program");
  command.AfterParsing([&o] { o.model_path = OrDefaultModel(o.model_path); });
}

void AddModelOptions(Command& command, RuntimeOptions& o) {
  AddModelPath(command, o);
  command.Add("-t,--tokenizer-path", Path(o.tokenizer_path),
              "tokenizer.json, tiktoken rank file, or o200k_harmony: the built-in one. Default: the model's "
              "own, else "
              "the built-in one if it fits");
}

void AddTokenizerOptions(Command& command, RuntimeOptions& o) {
  AddModelOptions(command, o);
  command.AddRules({{{"--model-path"},
                     OptionRule::Kind::kUselessWith,
                     {"--tokenizer-path"},
                     "only the model's tokenizer would be used"}});
}

std::shared_ptr<DeviceWish> AddExecutorOptions(Command& command, RuntimeOptions& runtime,
                                               std::optional<Value> threads) {
  DeviceOptions& o = runtime.device;
  const auto wish = DeviceWish::Add(command, runtime.choice);
  command.Add(
      "--precision", Choice(o.precision, kPrecisions),
      "Type of the KV cache and of the inputs of dot products; accumulation stays f32. auto: the best "
      "the device has");
  command.Add(
      "--activations", Choice(o.activations, kActivations),
      "Inputs of products. int8: rounded to 8 bits in blocks of 32, lossy, faster prompts (experts in "
      "MXFP4, dense weights in Q8_0). auto: as --precision says");
  command.Add("--threads", threads ? std::move(*threads) : ThreadCount(o.threads),
              "Threads, at most the processors this process may use. Default: one a core");
  command.Add("--context", Number(o.limits.max_context, 1, 1 << 30),
              "Tokens a conversation may have. Default: what the model allows");
  command.Add("--chunk-tokens", Number(runtime.chunk_tokens, 1, 1 << 20),
              "Most prompt tokens in one step; the result does not depend on it");
  command.AddFlag(
      "--yarn-truncate", runtime.yarn_truncate,
      "Round the ends of the rotation's ramp as llama.cpp does, to compare with it; gpt-oss does not");
  command.AddFlag(
      "--use-mmap", o.use_mmap,
      "Map the weights (default); =false reads them into memory, rearranged where that is faster: "
      "the same results",
      "BOOL");
  command.AddFlag(
      "--pack-weights", o.pack_dense,
      "Pack dense bf16 weights to 12 bits when the model is opened: the same answers, fewer bytes "
      "read for each token, for memory of their own (20b: 1.8 GB) and seconds");
  command.Add(
      "--packed-weights", Path(o.packed_weights, "FILE"),
      "The same out of a file that `convert --format packed-dense` made of this model: mapped, nothing "
      "is packed");
  command.AddRules({{{"--pack-weights"},
                     OptionRule::Kind::kUselessWith,
                     {"--packed-weights"},
                     "they are packed in the file already"}});
  AddExpertMemoryOptions(command, o.experts);
  return wish;
}

}  // namespace oxidized::cli
