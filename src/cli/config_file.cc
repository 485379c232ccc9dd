#include "cli/config_file.h"

#include <fmt/ranges.h>

#include <cctype>
#include <map>
#include <sstream>
#include <string_view>

#include "base/error.h"
#include "base/printable.h"

namespace oxidized::cli {
namespace {

// What CLI11 calls the items at both ends of a section.
constexpr const char* kSectionBegins = "++";
constexpr const char* kSectionEnds = "--";

// Where each name is set first, as "name" and "section.name": what CLI11 calls an item.
std::map<std::string, int> LinesOf(std::istream& input) {
  std::map<std::string, int> lines;
  std::string line, section;
  for (int number = 1; std::getline(input, line); ++number) {
    CLI::detail::trim(line);
    if (line.empty() || line.front() == '#' || line.front() == ';') continue;
    if (line.front() == '[' && line.back() == ']') {
      section = line.substr(1, line.size() - 2);
      section = section == "default" ? "" : section + ".";
      lines.emplace(section + kSectionBegins, number);
      continue;
    }
    std::string name = line.substr(0, line.find_first_of("=#"));
    CLI::detail::trim(name);
    CLI::detail::remove_quotes(name);
    lines.emplace(section + name, number);
  }
  return lines;
}

bool Known(const CLI::App& app, const CLI::ConfigItem& item) {
  const CLI::App* command = &app;
  for (const std::string& parent : item.parents) {
    const auto found =
        command->get_subcommands([&](const CLI::App* each) { return each->check_name(parent); });
    if (found.empty()) return false;
    command = found.front();
  }
  return item.name == kSectionBegins || item.name == kSectionEnds ||
         command->get_option_no_throw("--" + item.name) != nullptr ||
         command->get_option_no_throw("-" + item.name) != nullptr ||
         command->get_option_no_throw(item.name) != nullptr;
}

}  // namespace

std::vector<CLI::ConfigItem> ConfigFile::from_config(std::istream& input) const {
  const std::string path = app_.get_config_ptr()->as<std::string>();
  const std::string text(std::istreambuf_iterator<char>(input), {});
  std::istringstream for_lines(text), for_items(text);
  const std::map<std::string, int> lines = LinesOf(for_lines);
  std::vector<CLI::ConfigItem> found = CLI::ConfigTOML::from_config(for_items);
  for (const CLI::ConfigItem& item : found) {
    const auto line = lines.find(item.fullname());
    const std::string place = line == lines.end() ? path + ": " : fmt::format("{}:{}: ", path, line->second);
    if (!Known(app_, item)) {
      const bool section = item.name == kSectionBegins;
      Fail(ErrorKind::kUsage, "{}'{}' is no {} (one `name = value` a line, names as in --help)", place,
           EscapeUnprintable(section ? fmt::format("[{}]", fmt::join(item.parents, ".")) : item.fullname()),
           section ? "command" : "option");
    }
    entries_.push_back({"--" + item.name, place});
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
