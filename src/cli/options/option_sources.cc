#include "cli/options/option_sources.h"

#include <CLI/CLI.hpp>

#include "cli/options/config_file.h"
#include "cli/options/option_rules.h"

namespace oxidized::cli {

OptionSources::OptionSources(const CLI::App& command, const ConfigFile& config,
                             std::span<const char* const> words) {
  for (const CLI::Option* option : command.get_options()) {
    const std::string name = option->get_name();
    if (option->count() == 0 || Written(command, name, words)) continue;
    std::string place = config.PlaceOf(name);
    sources_.push_back({name, place.empty() ? option->get_envname() : std::move(place)});
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
