#include "cli/options/option_sources.h"

#include <CLI/CLI.hpp>

#include "cli/options/config_file.h"
#include "cli/options/option_rules.h"

namespace oxidized::cli {

Command::Source SourceOf(const CLI::App& command, const CLI::Option& option, const ConfigFile& config,
                         std::span<const std::string> words) {
  if (option.count() == 0) return Command::Source::kNobody;
  if (Written(command, option.get_name(), words)) return Command::Source::kCommandLine;
  return config.PlaceOf(option.get_name()).empty() ? Command::Source::kEnvironment
                                                   : Command::Source::kConfigFile;
}

OptionSources::OptionSources(const CLI::App& command, const ConfigFile& config,
                             std::span<const std::string> words) {
  for (const CLI::Option* option : command.get_options()) {
    const std::string name = option->get_name();
    const Command::Source source = SourceOf(command, *option, config, words);
    if (source == Command::Source::kConfigFile) sources_.push_back({name, config.PlaceOf(name)});
    if (source == Command::Source::kEnvironment) sources_.push_back({name, option->get_envname()});
  }
}

std::string OptionSources::Behind(const std::string& message) const {
  std::string text;
  for (const Source& source : sources_) {
    if (ConfigFile::Names(message, source.option))
      text += (text.empty() ? " (" : ", ") + source.place + " sets " + source.option;
  }
  return text.empty() ? text : text + ")";
}

}  // namespace oxidized::cli
