// How a command of the program says what it can be asked: it adds its options to a Command and returns the
// action that carries them out. One file a command; parse.cc lists them all. CLI11 stays behind this header
// (it costs seconds in each file that sees it).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/options/check_outputs.h"
#include "cli/options/option_rules.h"
#include "model_host/runtime.h"
#include "moe/routing_policy.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace oxidized::cli {

// What a parsed command line does; returns the exit code (docs/errors.md) and throws Error.
using Action = std::function<int()>;

// Where the text of an option goes. `set` throws BadValue.
struct Value {
  std::string type;  // in help: "N", "FILE", "low|medium|high" (which the shells complete)
  std::function<void(const std::string& text)> set;
  bool many = false;             // may be given again (set is called for each)
  OutputName* output = nullptr;  // names a file to write: looked at before the work begins
  bool input = false;            // names what is read: no output may overwrite it
};
struct BadValue {
  std::string message;  // "'x' is not a number from 1 to 5"
};

Value Text(std::string& value, std::string type = "TEXT");
Value Text(std::optional<std::string>& value, std::string type = "TEXT");
Value Path(std::filesystem::path& value, std::string type = "PATH");
Value File(std::string& value);  // to read; may be "-"
Value File(std::optional<std::string>& value);
// A file to write; `sign` tells one of this program (base/output_file.h). The command has a --force then.
Value Output(OutputName& value, std::string_view sign);
Value Words(std::vector<std::string>& values, std::string type);
Value Seed(uint64_t& value);  // any 64-bit number
Value Number(double& value, double low, double high, std::string type = "N");
Value Number(std::optional<double>& value, double low, double high, std::string type = "N");
// A whole number in [low, high].
template <typename Integer>
Value Number(Integer& value, int64_t low, int64_t high, std::string type = "N");
// Of threads. More than processors would take these from each other: then it says so and takes as many as
// there are.
Value ThreadCount(int32_t& count);
template <typename T>
Value Choice(T& value, const std::map<std::string, T>& choices);

class Command {
 public:
  // Who set an option; a later one goes before an earlier one.
  enum class Source : uint8_t { kNobody, kEnvironment, kConfigFile, kCommandLine };
  // Whether and by whom an option was set: known once all is parsed, and for as long as somebody wants to
  // know (the parser is gone when a command runs).
  class Given {
   public:
    Source source() const { return source_ == nullptr ? Source::kNobody : *source_; }
    explicit operator bool() const { return source() != Source::kNobody; }

   private:
    friend class Command;
    std::shared_ptr<Source> source_;
  };
  // What was added, while options are being added. Not to be kept: it is a part of the parser.
  class Option {
   public:
    Option(const Option&) = delete;
    Option& operator=(const Option&) = delete;
    Option& Required();
    Given given() const { return given_; }

   private:
    friend class Command;
    Option(CLI::Option* option, Given given) : option_(option), given_(std::move(given)) {}
    CLI::Option* option_;
    Given given_;
  };

  explicit Command(CLI::App& app) : app_(app) {}

  // Options added from here on are listed under this heading.
  void Group(std::string heading) { group_ = std::move(heading); }
  // `names`: "-m,--model-path".
  Option Add(const std::string& names, Value value, const std::string& help);
  // A word without a dash; the last one may be `many`.
  Option AddPositional(const std::string& name, Value value, const std::string& help);
  // On or off; `type` "BOOL" shows in help that =false is meaningful.
  Option AddFlag(const std::string& names, bool& value, const std::string& help,
                 const std::string& type = "");
  // A flag that may be given a word: --name is --name=standard.
  Option AddFlag(const std::string& name, const std::string& standard, const Value& word,
                 const std::string& help);
  // Of options by their long names; what is not an option of this command is passed over.
  void AddRules(std::vector<OptionRule> rules);
  // Of options in common, for a command that has a use of its own for this one.
  void DropRulesOf(const std::string& option);
  // Settles what follows from several options: called once all is parsed, in this order, before the rules are
  // checked. May throw Error(kUsage).
  void AfterParsing(std::function<void()> settle) { after_.push_back(std::move(settle)); }
  // Of the parser: fills in each Given, then calls what AfterParsing was handed.
  void NoteSources(const std::function<Source(const CLI::Option&)>& source_of) const;
  void Settle() const;

  const CLI::App& app() const { return app_; }
  const std::vector<OptionRule>& rules() const { return rules_; }
  // The files to write that this command line names; what it reads: what it names, standard input, and every
  // file of the model if that is here.
  std::vector<OutputOption> Outputs() const;
  std::vector<InputOption> Inputs() const;

 private:
  Option AddFlag(const std::string& names, const Value& word, const std::string& help);
  Option Added(CLI::Option* option);

  CLI::App& app_;
  std::string group_;
  std::vector<std::pair<const CLI::Option*, Given>> given_;
  std::vector<std::function<void()>> after_;
  std::vector<OptionRule> rules_;
  std::vector<std::pair<const CLI::Option*, OutputName*>> outputs_;
  std::shared_ptr<bool> force_;  // nullptr: there is nothing to write
  std::vector<const CLI::Option*> inputs_;
};

// Options that several commands have in common.
void AddModelPath(Command& command, RuntimeOptions& options);
void AddModelOptions(Command& command, RuntimeOptions& options);      // the same and a tokenizer
void AddTokenizerOptions(Command& command, RuntimeOptions& options);  // of a command that runs no model
// `threads`: what --threads sets instead, for a command that takes several counts. The wish is for options of
// one command that say the device in another way (device_wish.h).
class DeviceWish;
std::shared_ptr<DeviceWish> AddExecutorOptions(Command& command, RuntimeOptions& options,
                                               std::optional<Value> threads = {});
void AddExpertMemoryOptions(Command& command, ExpertMemoryOptions& options);
void AddSpeculationOptions(Command& command, SpeculationOptions& options);
// What is ignored gets a warning. Both must live until the command line is parsed.
void AddRoutingOptions(Command& command, RoutingPolicy& routing, ExpertMemoryOptions& experts);

// The commands: each adds its options and returns its action.
Action AddGenerate(Command& command);  // the program itself, without a command
Action AddServe(Command& command);
Action AddInspect(Command& command);
Action AddTokenize(Command& command);
Action AddDetokenize(Command& command);
Action AddLogits(Command& command);
Action AddPerplexity(Command& command);
Action AddSynth(Command& command);
Action AddConvert(Command& command);
Action AddVerify(Command& command);
Action AddPull(Command& command);
Action AddList(Command& command);
Action AddRemove(Command& command);
Action AddMoeSimulate(Command& command);
Action AddBench(Command& command);
Action AddBenchMoe(Command& command);
Action AddBenchPlot(Command& command);
Action AddDevices(Command& command);
Action AddHarmonyRender(Command& command);
Action AddHarmonyParse(Command& command);

// The action that a command line asks for. nullopt: help was asked for and printed. Throws Error(kUsage,
// kBadFile, kUnsupported) with one line.
std::optional<Action> ParseCommandLine(int argc, const char* const* argv);

// --- Implementation of the templates.

Value NumberValue(double low, double high, std::string type, std::function<void(int64_t)> set);

template <typename Integer>
Value Number(Integer& value, int64_t low, int64_t high, std::string type) {
  return NumberValue(static_cast<double>(low), static_cast<double>(high), std::move(type),
                     [&value](int64_t number) { value = static_cast<Integer>(number); });
}

[[noreturn]] void NoneOf(const std::string& text, const std::string& names);

template <typename T>
Value Choice(T& value, const std::map<std::string, T>& choices) {
  std::string names;
  for (const auto& [key, unused] : choices) names += (names.empty() ? "" : "|") + key;
  return {names, [&value, choices, names](const std::string& text) {
            const auto found = choices.find(text);
            if (found == choices.end()) NoneOf(text, names);
            value = found->second;
          }};
}

}  // namespace oxidized::cli
