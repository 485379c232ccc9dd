#include "cli/options/config_file.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <sstream>
#include <string_view>

#include "base/error.h"
#include "base/printable.h"
#include "cli/terminal/input.h"

namespace oxidized::cli {
namespace {

// What CLI11 calls the items at both ends of a section.
constexpr const char* kSectionBegins = "++";
constexpr const char* kSectionEnds = "--";

// Far beyond any list of options.
constexpr size_t kMaxBytes = 1 << 20;

std::string ReadOptions(const std::string& path) {
  if (path == "/dev/null") return "";
  std::string text = ReadInput(path);
  if (text.size() > kMaxBytes) Fail(ErrorKind::kUsage, "{}: too large for a file of options", path);
  return text;
}

struct Line {
  int number = 0;          // where it is set first
  bool has_value = false;  // there is a "="
  std::string value;       // as written there, without quotes
  int again = 0;           // where it is set once more, 0: nowhere
};

// Of each name, as "name" and "section.name": what CLI11 calls an item.
std::map<std::string, Line> LinesOf(std::istream& input) {
  std::map<std::string, Line> lines;
  std::string line, section;
  for (int number = 1; std::getline(input, line); ++number) {
    CLI::detail::trim(line);
    if (line.empty() || line.front() == '#' || line.front() == ';') continue;
    if (line.front() == '[' && line.back() == ']') {
      section = line.substr(1, line.size() - 2);
      section = section == "default" ? "" : section + ".";
      lines.emplace(section + kSectionBegins, Line{number, false, "", 0});
      continue;
    }
    std::string name = line.substr(0, line.find_first_of("=#"));
    CLI::detail::trim(name);
    CLI::detail::remove_quotes(name);
    const size_t equals = line.find('=');
    const bool has_value = equals != std::string::npos && equals < line.find('#');
    std::string value =
        name.size() < line.size() ? line.substr(std::min(line.size(), line.find('=') + 1)) : "";
    value.erase(std::min(value.size(), value.find('#')));
    CLI::detail::trim(value);
    CLI::detail::remove_quotes(value);
    const auto [entry, first] = lines.emplace(section + name, Line{number, has_value, value, 0});
    if (!first) entry->second.again = number;
  }
  return lines;
}

// nullptr: there is none of this name.
const CLI::App* CommandOf(const CLI::App& app, const CLI::ConfigItem& item) {
  const CLI::App* command = &app;
  for (const std::string& parent : item.parents) {
    const auto found =
        command->get_subcommands([&](const CLI::App* each) { return each->check_name(parent); });
    if (found.empty()) return nullptr;
    command = found.front();
  }
  return command;
}

const CLI::Option* OptionOf(const CLI::App& command, const std::string& name) {
  for (const char* dashes : {"--", "-", ""}) {
    if (const CLI::Option* option = command.get_option_no_throw(dashes + name)) return option;
  }
  return nullptr;
}

}  // namespace

std::vector<CLI::ConfigItem> ConfigFile::from_config(std::istream&) const {
  const std::string path = app_.get_config_ptr()->as<std::string>();
  const std::string text = ReadOptions(path);  // not from the stream: a signal ends this
  std::istringstream for_lines(text), for_items(text);
  const std::map<std::string, Line> lines = LinesOf(for_lines);
  std::vector<CLI::ConfigItem> found = CLI::ConfigTOML::from_config(for_items);
  std::erase_if(found, [&](const CLI::ConfigItem& item) {
    const CLI::App* command = CommandOf(app_, item);
    const CLI::Option* option = command == nullptr ? nullptr : OptionOf(*command, item.name);
    return option != nullptr &&
           std::find(passed_over_.begin(), passed_over_.end(), option) != passed_over_.end();
  });
  for (CLI::ConfigItem& item : found) {
    const auto at = lines.find(item.fullname());
    const Line line = at == lines.end() ? Line{} : at->second;
    const auto place = [&](int number) { return number == 0 ? path : fmt::format("{}:{}", path, number); };
    const CLI::App* command = CommandOf(app_, item);
    if (command != nullptr && (item.name == kSectionBegins || item.name == kSectionEnds)) continue;
    const CLI::Option* option = command == nullptr ? nullptr : OptionOf(*command, item.name);
    if (option == nullptr) {
      const bool section = item.name == kSectionBegins;
      Fail(ErrorKind::kUsage, "{}: '{}' is not {} (one `name = value` a line, names as in --help)",
           place(line.number),
           EscapeUnprintable(section ? fmt::format("[{}]", fmt::join(item.parents, ".")) : item.fullname()),
           section ? "a command" : "an option");
    }
    if (!option->get_configurable())
      Fail(ErrorKind::kUsage, "{}: '{}' has no place in a file of options", place(line.number), item.name);
    if (line.number > 0 && !line.has_value && option->get_items_expected_max() > 0) {
      Fail(ErrorKind::kUsage, "{}: '{}' has no value: write `{} = {}`", place(line.number), item.name,
           item.name, option->get_type_name());
    }
    if (option->get_expected_max() <= 1) {
      if (line.again > 0)
        Fail(ErrorKind::kUsage, "{}: '{}' is set in line {} already", place(line.again), item.name,
             line.number);
      // CLI11 takes a text of several words for a list.
      if (item.inputs.size() > 1 && !line.value.starts_with('[')) item.inputs = {line.value};
    }
    entries_.push_back({"--" + item.name, place(line.number)});
  }
  return found;
}

bool ConfigFile::Names(const std::string& complaint, const std::string& option) {
  const size_t at = complaint.find(option);
  if (at == std::string::npos) return false;
  const size_t end = at + option.size();
  return end == complaint.size() ||
         (complaint[end] != '-' && std::isalnum(static_cast<unsigned char>(complaint[end])) == 0);
}

}  // namespace oxidized::cli
