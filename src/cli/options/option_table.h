// What the program can be asked, as data: the source of the man page and of the shells' completions. Made
// from the parser's own table, so it cannot lag behind it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace oxidized::cli {

struct OptionInfo {
  std::vector<std::string> names;  // "-m", "--model-path"; of a positional argument its one name
  std::string value;               // "FILE", "N", "low|medium|high"; "" for a plain flag
  bool needs_value = false;        // the value is a word of its own; a flag takes one only as --name=value
  std::string help, group;

  std::vector<std::string> Choices() const;  // of a value such as "a|b|c", or BOOL
  bool IsFile() const;
  bool IsFolder() const;
};

struct CommandInfo {
  std::string name;  // "": the program itself; "harmony render": a command of a command
  std::string help;
  std::vector<OptionInfo> options, positionals;
};
using OptionTable = std::vector<CommandInfo>;  // the program first

std::string ManPage(const OptionTable& table);
// `shell`: bash, zsh or fish.
std::string Completion(const OptionTable& table, std::string_view shell);

}  // namespace oxidized::cli
