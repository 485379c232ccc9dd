#include "cli/options/option_table.h"

#include <algorithm>

#include "cli/options/parse_table.h"

namespace oxidized::cli {
namespace {

CommandInfo Describe(const CLI::App& app, const std::string& name) {
  CommandInfo command{.name = name, .help = app.get_description(), .options = {}, .positionals = {}};
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) continue;
    OptionInfo info;
    for (const std::string& letter : option->get_snames()) info.names.push_back("-" + letter);
    for (const std::string& word : option->get_lnames()) info.names.push_back("--" + word);
    // CLI11 appends what its checks say about themselves: "N:0..1024".
    const std::string type = option->get_type_name();
    info.value = type.substr(0, type.find(':'));
    info.needs_value = option->get_items_expected_max() > 0;
    info.help = option->get_description();
    info.group = option->get_group();
    if (info.names.empty()) {
      info.names.push_back(option->get_name(true));
      command.positionals.push_back(std::move(info));
    } else {
      command.options.push_back(std::move(info));
    }
  }
  return command;
}

void Collect(const CLI::App& app, const std::string& name, OptionTable& table) {
  table.push_back(Describe(app, name));
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    Collect(*command, name.empty() ? command->get_name() : name + " " + command->get_name(), table);
}

}  // namespace

OptionTable MakeOptionTable(const CLI::App& app) {
  OptionTable table;
  Collect(app, "", table);
  return table;
}

std::vector<std::string> OptionInfo::Choices() const {
  if (value == "BOOL") return {"true", "false"};
  std::vector<std::string> choices;
  if (value.find('|') == std::string::npos) return choices;
  for (size_t begin = 0; begin <= value.size();) {
    const size_t end = std::min(value.find('|', begin), value.size());
    choices.push_back(value.substr(begin, end - begin));
    begin = end + 1;
  }
  return choices;
}

bool OptionInfo::IsFile() const { return value == "FILE" || value == "PATH"; }
bool OptionInfo::IsFolder() const { return value == "DIR"; }

}  // namespace oxidized::cli
