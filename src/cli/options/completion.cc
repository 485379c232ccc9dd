// The option table as completion scripts. Values that are words are offered, files and folders are left to
// the shell, everything else is the person's own.
#include <fmt/core.h>

#include <algorithm>

#include "cli/options/option_table.h"

namespace oxidized::cli {
namespace {

std::string Join(const std::vector<std::string>& words, std::string_view between) {
  std::string out;
  for (const std::string& word : words) {
    if (!out.empty()) out += between;
    out += word;
  }
  return out;
}

// The commands directly below `name`.
std::vector<const CommandInfo*> Below(const OptionTable& table, const std::string& name) {
  std::vector<const CommandInfo*> below;
  for (const CommandInfo& command : table) {
    if (command.name.empty()) continue;
    const size_t space = command.name.rfind(' ');
    if ((space == std::string::npos ? "" : command.name.substr(0, space)) == name) below.push_back(&command);
  }
  return below;
}

std::string LastWord(const std::string& name) { return name.substr(name.rfind(' ') + 1); }

std::vector<std::string> OptionNames(const CommandInfo& command) {
  std::vector<std::string> names;
  for (const OptionInfo& option : command.options)
    names.insert(names.end(), option.names.begin(), option.names.end());
  return names;
}

std::string Bash(const OptionTable& table) {
  std::string values, words;
  std::vector<std::string> seen;
  for (const CommandInfo& command : table) {
    std::vector<std::string> offered = OptionNames(command);
    bool files = false;
    for (const CommandInfo* below : Below(table, command.name)) offered.push_back(LastWord(below->name));
    for (const OptionInfo& positional : command.positionals) {
      files = files || positional.IsFile() || positional.IsFolder();
      for (const std::string& choice : positional.Choices()) offered.push_back(choice);
    }
    words +=
        fmt::format("    '{}') words='{}'; files={} ;;\n", command.name, Join(offered, " "), files ? 1 : 0);
    for (const OptionInfo& option : command.options) {
      if (option.value.empty() || std::find(seen.begin(), seen.end(), option.names.back()) != seen.end())
        continue;
      seen.push_back(option.names.back());
      const char* kind = option.IsFile() ? "-f" : option.IsFolder() ? "-d" : nullptr;
      // The value behind "=", and as the next word where the option needs one.
      const std::string after_equals = Join(option.names, "=|") + "=";
      values += fmt::format(
          "    {}) COMPREPLY=({}); return ;;\n",
          option.needs_value ? after_equals + "|" + Join(option.names, "|") : after_equals,
          kind != nullptr ? fmt::format("$(compgen {} -- \"$word\")", kind)
                          : fmt::format("$(compgen -W '{}' -- \"$word\")", Join(option.Choices(), " ")));
    }
  }
  std::vector<std::string> names;
  for (const CommandInfo& command : table) {
    if (!command.name.empty()) names.push_back("'" + command.name + "'");
  }
  return fmt::format(R"(# bash completion for oxidized_gpt_oss
_oxidized_gpt_oss() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}} command='' words='' files=0 i
  COMPREPLY=()
  if [[ $word == '=' ]]; then  # bash makes a word of it
    before+='=' word=''
  elif [[ $before == '=' ]]; then
    before="${{COMP_WORDS[COMP_CWORD - 2]}}="
  fi
  case $before in
{0}  esac
  for ((i = 1; i < COMP_CWORD; ++i)); do
    case "${{command:+$command }}${{COMP_WORDS[i]}}" in
    {1}) command="${{command:+$command }}${{COMP_WORDS[i]}}" ;;
    esac
  done
  case $command in
{2}  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
  ((files)) && COMPREPLY+=($(compgen -f -- "$word"))
}}
complete -o filenames -F _oxidized_gpt_oss oxidized_gpt_oss
)",
                     values, Join(names, " | "), words);
}

// In single quotes, and free of what zsh's _arguments reads as its own.
std::string ZshText(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
      out += c;
    }
  }
  return out;
}

std::string ZshAction(const OptionInfo& option) {
  if (option.IsFile()) return "_files";
  if (option.IsFolder()) return "_files -/";
  const std::vector<std::string> choices = option.Choices();
  return choices.empty() ? " " : "(" + Join(choices, " ") + ")";
}

std::string ZshFunction(const std::string& name) {
  std::string function = "_oxidized_gpt_oss" + (name.empty() ? "" : "_" + name);
  std::replace(function.begin(), function.end(), ' ', '_');
  return function;
}

std::string Zsh(const OptionTable& table) {
  std::string script = "#compdef oxidized_gpt_oss\n";
  for (const CommandInfo& command : table) {
    script += fmt::format("\n{}() {{\n", ZshFunction(command.name));
    const auto below = Below(table, command.name);
    if (!below.empty()) script += "  local line state\n";
    script += fmt::format("  _arguments{}", below.empty() ? "" : " -C");
    for (const OptionInfo& option : command.options) {
      for (const std::string& name : option.names) {
        // "=-": only behind an equals sign; "::": may be left out.
        script += fmt::format(" \\\n    '{}{}[{}]{}'", name,
                              option.needs_value || option.value.empty() ? "" : "=-", ZshText(option.help),
                              option.value.empty() ? ""
                                                   : fmt::format("{}:{}:{}", option.needs_value ? "" : ":",
                                                                 ZshText(option.value), ZshAction(option)));
      }
    }
    for (const OptionInfo& positional : command.positionals)
      script += fmt::format(" \\\n    '*:{}:{}'", ZshText(positional.names.front()), ZshAction(positional));
    if (!below.empty()) {
      script +=
          " \\\n    '1: :->command' \\\n    '*::: :->rest'\n  case $state in\n  command)\n    local -a "
          "commands=(";
      for (const CommandInfo* each : below)
        script += fmt::format("\n      '{}:{}'", LastWord(each->name), ZshText(each->help));
      script += ")\n    _describe command commands ;;\n  rest)\n    case $line[1] in\n";
      for (const CommandInfo* each : below)
        script += fmt::format("    {}) {} ;;\n", LastWord(each->name), ZshFunction(each->name));
      script += "    esac ;;\n  esac\n";
    } else {
      script += '\n';
    }
    script += "}\n";
  }
  return script + "\n_oxidized_gpt_oss \"$@\"\n";
}

std::string FishText(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string Fish(const OptionTable& table) {
  std::string script = "# fish completion for oxidized_gpt_oss\ncomplete -c oxidized_gpt_oss -f\n";
  for (const CommandInfo& command : table) {
    std::string condition = command.name.empty() ? "" : "__fish_seen_subcommand_from " + command.name;
    if (const size_t space = command.name.find(' '); space != std::string::npos) {
      condition = fmt::format("__fish_seen_subcommand_from {}; and __fish_seen_subcommand_from {}",
                              command.name.substr(0, space), command.name.substr(space + 1));
    }
    std::vector<std::string> below;
    for (const CommandInfo* each : Below(table, command.name)) below.push_back(LastWord(each->name));
    const std::string none_yet = below.empty() ? ""
                                               : (condition.empty() ? "" : condition + "; and ") +
                                                     "not __fish_seen_subcommand_from " + Join(below, " ");
    for (const CommandInfo* each : Below(table, command.name)) {
      script += fmt::format("complete -c oxidized_gpt_oss -n '{}' -a {} -d '{}'\n", none_yet,
                            LastWord(each->name), FishText(each->help));
    }
    const std::string& where = command.name.empty() ? none_yet : condition;
    const auto value = [](const OptionInfo& option) -> std::string {
      if (option.IsFile()) return " -r -F";
      if (option.IsFolder()) return " -x -a '(__fish_complete_directories)'";
      const auto choices = option.Choices();
      return choices.empty() ? " -x" : " -x -a '" + Join(choices, " ") + "'";
    };
    for (const OptionInfo& option : command.options) {
      script += fmt::format("complete -c oxidized_gpt_oss -n '{}'", where);
      for (const std::string& name : option.names)
        script += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      if (option.needs_value) {
        script += value(option);
      } else if (!option.value.empty()) {
        script += " -a '" + Join(option.Choices(), " ") + "'";
      }
      script += fmt::format(" -d '{}'\n", FishText(option.help));
    }
    for (const OptionInfo& positional : command.positionals) {
      if (positional.IsFile() || positional.IsFolder() || !positional.Choices().empty())
        script += fmt::format("complete -c oxidized_gpt_oss -n '{}'{}\n", where,
                              positional.IsFile() || positional.IsFolder()
                                  ? " -F"
                                  : " -a '" + Join(positional.Choices(), " ") + "'");
    }
  }
  return script;
}

}  // namespace

std::string Completion(const OptionTable& table, std::string_view shell) {
  if (shell == "zsh") return Zsh(table);
  return shell == "fish" ? Fish(table) : Bash(table);
}

}  // namespace oxidized::cli
