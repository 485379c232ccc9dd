// The command line: the table of commands, and what holds for all of them (environment, config file, errors
// in one line). What a command can be asked stands in its own file (cli/options/command.h).
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "base/file_in_use.h"
#include "base/log.h"
#include "base/printable.h"
#include "cli/options/command.h"
#include "cli/options/config_file.h"
#include "cli/options/environment.h"
#include "cli/options/option_sources.h"
#include "cli/options/parse_table.h"
#include "cli/options/spellings.h"
#include "cli/terminal/input.h"
#include "cli/terminal/terminal.h"

extern char** environ;  // POSIX has no header for it

namespace oxidized::cli {
namespace {

struct CommandRow {
  const char* name;  // "harmony render": a command of the one above it
  const char* help;
  Action (*add)(Command&);  // nullptr: a group, which does nothing by itself
};
constexpr CommandRow kCommands[] = {
    {"serve", "Answer many clients over HTTP, as OpenAI's API does", AddServe},
    {"inspect", "Configuration, tensors, sizes and bytes per token of a model", AddInspect},
    {"tokenize", "Text to token ids", AddTokenize},
    {"detokenize", "Token ids to text", AddDetokenize},
    {"logits", "Raw logits of a token sequence as float32 .npy [T, V]", AddLogits},
    {"perplexity", "Perplexity of a text under the model", AddPerplexity},
    {"pull", "Fetch a model of the Hugging Face Hub into its cache", AddPull},
    {"list", "Models that were fetched: size, last use, form", AddList},
    {"rm", "Delete fetched models", AddRemove},
    {"synth", "Write a checkpoint of random weights", AddSynth},
    {"convert", "Rewrite a checkpoint in another format", AddConvert},
    {"verify", "Check every value of a checkpoint, and its files' SHA-256", AddVerify},
    {"moe", "Routing of experts", nullptr},
    {"moe simulate", "What a cache of experts would have done, from a routing trace", AddMoeSimulate},
    {"devices", "What there is to compute on here: memory, and why something is not available", AddDevices},
    {"bench", "How fast a model runs here, beside what the machine could do", AddBench},
    {"bench moe", "What the mixture of experts costs, stage by stage (--benchmark-moe)", AddBenchMoe},
    {"bench plot", "Pictures of what `bench --json` wrote", AddBenchPlot},
    {"harmony", "The Harmony chat format", nullptr},
    {"harmony render", "Conversation JSON to the completion prompt", AddHarmonyRender},
    {"harmony parse", "Token ids to messages as JSON", AddHarmonyParse},
};

Action Print(std::string text) {
  return [text = std::move(text)] {
    WriteAnswer(text);
    return 0;
  };
}

// Environment names of all options: OXIDIZED_ and the long name. They are added to `names`.
void NameEnvironment(CLI::App& app, std::vector<std::string>& names) {
  for (CLI::Option* option : app.get_options()) {
    if (option->get_lnames().empty() || option->get_name() == "--help") continue;
    std::string name = option->get_lnames().front();
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return c == '-' ? '_' : static_cast<char>(std::toupper(c)); });
    option->envname(names.emplace_back("OXIDIZED_" + name));
  }
  for (CLI::App* command : app.get_subcommands({})) NameEnvironment(*command, names);
}

// A pipe will do that is open already, as in --config <(...); a name of one would be waited for. /dev/null:
// none.
auto CheckConfigFile() {
  return [before = std::optional<std::string>()](const std::string& path) mutable -> std::string {
    if (before && *before != path)
      return fmt::format("given as '{}' and as '{}'", Shown(*before), Shown(path));
    before = path;
    std::error_code error;
    if (std::filesystem::is_directory(path, error))
      return Shown(path) + ": is a folder, not a file of options";
    if (!std::filesystem::exists(path, error))
      return Shown(path) + ": " + (error ? error.message() : "no such file");
    if (path != "/dev/null" && DescriptorOf(path) < 0 && !std::filesystem::is_regular_file(path, error))
      return Shown(path) + ": not a regular file";
    if (access(path.c_str(), R_OK) != 0) return Shown(path) + ": " + std::strerror(errno);
    return "";
  };
}

void AddConfigFile(CLI::App& app) {
  const char* config = std::getenv("OXIDIZED_CONFIG");
  app.set_config("--config", config != nullptr ? config : "",
                 "Options from a file, one `name = value` a line", config != nullptr && *config != '\0')
      ->check(CheckConfigFile())
      ->group("Output")
      ->type_name("FILE");
  app.allow_config_extras(CLI::config_extras_mode::error);
}

// The same of a command of commands: `bench --runs 5 moe`, `bench pp512 moe`.
void RefuseWhatBelongsAbove(const CLI::App& command, std::span<const std::string> words) {
  for (const CLI::App* below : command.get_subcommands()) {
    for (const CLI::Option* option : command.get_options()) {
      const std::string name = option->get_name();
      if (name != "--help" && Written(command, name, words) && option->count() > 0) {
        Fail(ErrorKind::kUsage, "{} before {} has no effect: options of a command come after it",
             option->get_positional() ? option->results().front() : name, below->get_name());
      }
    }
  }
}

// Options written before a command belong to answering; the command would not see them.
void RefuseOptionsBeforeCommand(const CLI::App& app, std::span<const std::string> words) {
  const auto parsed = app.get_subcommands();
  if (parsed.empty()) return;
  RefuseWhatBelongsAbove(*parsed[0], words);
  if (const std::string& first = words.front(); first != parsed[0]->get_name()) {
    Fail(ErrorKind::kUsage, "{} before {} has no effect: options of a command come after it", first,
         parsed[0]->get_name());
  }
}

// The command that was parsed: "", "harmony render".
std::string ParsedCommand(const CLI::App& app) {
  std::string name;
  for (const CLI::App* at = &app; !at->get_subcommands().empty();) {
    at = at->get_subcommands().front();
    name += (name.empty() ? "" : " ") + at->get_name();
  }
  return name;
}

// CLI11 writes "--name BOOL" for what is only understood as --name=false.
class HelpFormatter final : public CLI::Formatter {
 public:
  std::string make_option_name(const CLI::Option* option, bool positional) const override {
    // Not "--name{word}": the help says what the option means by itself.
    return positional ? CLI::Formatter::make_option_name(option, positional) : Names(*option);
  }
  std::string make_option_opts(const CLI::Option* option) const override {
    std::string text = CLI::Formatter::make_option_opts(option);
    const std::string type = option->get_type_name();
    if (option->get_items_expected_max() > 0 || type.empty()) return text;
    return "[=" + type + "]" + text.substr(1 + type.size());
  }

 private:
  static std::string Names(const CLI::Option& option) {
    std::string names;
    for (const std::string& letter : option.get_snames()) names += (names.empty() ? "-" : ",-") + letter;
    for (const std::string& word : option.get_lnames()) names += (names.empty() ? "--" : ",--") + word;
    return names;
  }
};

// "OXIDIZED_MAX_TOKENS" if a complaint is about an option that this variable sets, else "".
template <typename Written>
std::string VariableOf(const CLI::App& app, const std::string& complaint, Written written) {
  for (const CLI::Option* option : app.get_options()) {
    const std::string variable = option->get_envname(), name = option->get_name();
    const char* value = variable.empty() ? nullptr : std::getenv(variable.c_str());
    if (value != nullptr && *value != '\0' && !written(name) && ConfigFile::Names(complaint, name))
      return variable;
  }
  for (const CLI::App* command : app.get_subcommands()) {
    if (const std::string place = VariableOf(*command, complaint, written); !place.empty()) return place;
  }
  return "";
}

// False: help was asked for and printed.
bool Parse(CLI::App& app, const ConfigFile& config, const std::vector<std::string>& words) {
  try {
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
    RefuseOptionsBeforeCommand(app, words);
    return true;
  } catch (const CLI::CallForHelp&) {
    WriteAnswer(app.help());
    return false;
  } catch (const CLI::ExtrasError&) {
    Fail(ErrorKind::kUsage, "{}",
         WhatIsMeant(app.remaining(true).front(), ParsedCommand(app), MakeOptionTable(app), words));
  } catch (const CLI::FileError& error) {
    Fail(ErrorKind::kBadFile, "{}", error.what());
  } catch (const CLI::ParseError& error) {
    std::string message = error.what();
    std::replace(message.begin(), message.end(), '\n', ' ');
    // "--prompt: 1 required TEXT missing"
    if (const size_t colon = message.find(": 1 required ");
        colon != std::string::npos && message.ends_with(" missing"))
      message = message.substr(0, colon) + ": the value is missing";
    const auto written = [&](const std::string& option) { return Written(app, option, words); };
    std::string place = config.PlaceOf(message, written);
    if (place.empty()) place = VariableOf(app, message, written);
    Fail(ErrorKind::kUsage, "{}{}{} (--help lists the options)", place, place.empty() ? "" : ": ", message);
  }
}

void CheckFiles(const Command& command, const CLI::App& program) {
  KeepInUse(std::filesystem::path("/proc/self/exe"));
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) KeepInUse(stream);
  if (const CLI::Option* file = program.get_config_ptr(); file->count() > 0)
    KeepInUse(std::filesystem::path(file->results().back()));
  const std::vector<OutputOption> outputs = command.Outputs();
  if (outputs.empty()) return;
  std::vector<InputOption> inputs = command.Inputs();
  if (const CLI::Option* file = program.get_config_ptr(); file->count() > 0)
    inputs.push_back({file->get_name(), file->results().back()});
  CheckOutputs(outputs, inputs);
}

}  // namespace

std::optional<Action> ParseCommandLine(int argc, const char* const* argv) {
  CLI::App app("Runs OpenAI's gpt-oss models.", "oxidized_gpt_oss");
  // Each option looks at its repetitions itself (command.cc), and says it better.
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.require_subcommand(0, 1);
  app.fallthrough(false);
  app.formatter(std::make_shared<HelpFormatter>());
  const auto config = std::make_shared<ConfigFile>(app);
  app.config_formatter(config);

  struct Added {
    Command command;
    Action action;
  };
  std::vector<Added> commands;  // the program itself comes last
  Command program(app);
  const Action generate = AddGenerate(program);
  AddConfigFile(app);

  std::map<std::string, CLI::App*> groups;
  for (const CommandRow& row : kCommands) {
    const std::string name = row.name;
    const size_t space = name.find(' ');
    CLI::App& parent = space == std::string::npos ? app : *groups.at(name.substr(0, space));
    CLI::App* added =
        parent.add_subcommand(space == std::string::npos ? name : name.substr(space + 1), row.help);
    groups[name] = added;
    if (row.add == nullptr) {
      added->require_subcommand(1);
    } else {
      added->require_subcommand(0, 1);
      Command command(*added);
      const Action action = row.add(command);
      commands.push_back({std::move(command), action});
    }
  }
  std::string shell;
  CLI::App* completion =
      app.add_subcommand("completion", "Completion script for a shell, to be loaded by it");
  Command(*completion)
      .AddPositional("shell", Choice(shell, {{"bash", "bash"}, {"fish", "fish"}, {"zsh", "zsh"}}),
                     "bash, zsh or fish")
      .Required();
  // Short for options: in our words before this is asked to parse them (spellings.h).
  app.add_subcommand("chat", "chat [MODEL]: --interactive");
  app.add_subcommand("run",
                     "run MODEL [PROMPT]: --prompt; without one standard input, at a terminal --interactive");
  app.add_subcommand("show", "The same as inspect");
  app.add_subcommand("help", "help [COMMAND]: --help");
  app.add_subcommand("version", "--version");
  CLI::App* man = app.add_subcommand("man", "The manual page: try `oxidized_gpt_oss man | man -l -`");
  std::vector<std::string> variables;
  NameEnvironment(app, variables);
  for (const std::string& line : UnknownVariables(environ, variables)) Log(LogLevel::kWarning, "{}", line);

  const std::vector<std::string> words =
      InOurWords(std::vector<std::string>(argv + std::min(argc, 1), argv + argc), MakeOptionTable(app));
  commands.push_back({std::move(program), generate});
  for (const Added& added : commands) {
    for (CLI::Option* option : Overruled(added.command.app(), added.command.rules(), words)) {
      option->envname("");
      config->PassOver(option);
    }
  }
  if (!Parse(app, *config, words)) return std::nullopt;
  if (completion->parsed()) return Print(Completion(MakeOptionTable(app), shell));
  if (man->parsed()) return Print(ManPage(MakeOptionTable(app)));
  for (const auto& [command, action] : commands) {
    if (!command.app().parsed() ||
        (command.app().get_parent() != nullptr && !command.app().get_subcommands().empty()))
      continue;
    const OptionSources sources(command.app(), *config, words);
    command.NoteSources(
        [&](const CLI::Option& option) { return SourceOf(command.app(), option, *config, words); });
    sources.Told([&] {
      command.Settle();
      CheckRules(command.app(), command.rules(), words);
      CheckFiles(command, app);
    });
    return [sources, action] { return sources.Told(action); };
  }
  return generate;  // not reached: the program itself is always parsed
}

}  // namespace oxidized::cli
