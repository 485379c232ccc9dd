// The option table as a manual page (man(7) macros), printed by `man` and installed as oxidized_gpt_oss.1.
#include <fmt/core.h>

#include "cli/options/environment.h"
#include "cli/options/option_table.h"

namespace oxidized::cli {
namespace {

// Text that roff would read as its own is escaped.
std::string Roff(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n')) {
      out += {'\\', '&', c};
    } else {
      out += c;
    }
  }
  return out;
}

std::string Entry(const OptionInfo& option) {
  std::string names;
  for (const std::string& name : option.names)
    names += (names.empty() ? "\\fB" : ", \\fB") + Roff(name) + "\\fR";
  if (!option.value.empty())
    names += fmt::format("{}\\fI{}\\fR", option.needs_value ? " " : "[=", Roff(option.value)) +
             (option.needs_value ? "" : "]");
  return fmt::format(".TP\n{}\n{}\n", names, Roff(option.help));
}

constexpr const char* kExitCodes[][2] = {
    {"0", "done"},
    {"1", "a defect of this program"},
    {"2", "wrong option"},
    {"3", "model, tokenizer or input file missing or damaged"},
    {"4", "does not fit into memory"},
    {"5", "the context is full"},
    {"6", "cut before an answer began: the token limit ended the reasoning"},
    {"7", "the engine ended the request"},
    {"8", "not available in this version"},
    {"9", "the download failed"},
    {"10", "the model ended its turn without an answer or a call"},
    {"129, 130, 141, 143", "terminal gone, interrupted, standard output closed, terminated"},
};

}  // namespace

std::string ManPage(const OptionTable& table) {
  std::string page =
      ".TH OXIDIZED_GPT_OSS 1 \"\" \"oxidized_gpt_oss " OXIDIZED_VERSION "\"\n.SH NAME\n" +
      Roff("oxidized_gpt_oss - runs OpenAI's gpt-oss models") +
      "\n.SH SYNOPSIS\n.nf\n"
      "\\fBoxidized_gpt_oss\\fR [\\fIoptions\\fR] \\fB\\-\\-prompt\\fR \\fITEXT\\fR\n"
      "\\fBoxidized_gpt_oss\\fR [\\fIoptions\\fR] \\fB\\-\\-interactive\\fR\n"
      "\\fBoxidized_gpt_oss\\fR \\fIcommand\\fR [\\fIoptions\\fR]\n.fi\n"
      ".SH DESCRIPTION\nThe answer goes to standard output, everything else to standard error.\n"
      "In a chat \\fB/help\\fR lists the commands.\n";
  std::string group;
  page += ".SH OPTIONS\n";
  for (const OptionInfo& option : table.front().options) {
    if (option.group != group) page += fmt::format(".SS {}\n", Roff(group = option.group));
    page += Entry(option);
  }
  page += ".SH COMMANDS\n";
  for (size_t i = 1; i < table.size(); ++i) {
    const CommandInfo& command = table[i];
    std::string line = "\\fB" + Roff(command.name) + "\\fR";
    for (const OptionInfo& positional : command.positionals)
      line += " \\fI" + Roff(positional.names.front()) + "\\fR";
    page += fmt::format(".SS {}\n{}.\n", line, Roff(command.help));
    for (const OptionInfo& positional : command.positionals) page += Entry(positional);
    for (const OptionInfo& option : command.options) {
      if (option.names.back() != "--help") page += Entry(option);
    }
  }
  page += ".SH EXIT STATUS\n";
  for (const auto& [code, meaning] : kExitCodes) page += fmt::format(".TP\n{}\n{}\n", code, Roff(meaning));
  page +=
      ".SH ENVIRONMENT\n.TP\n\\fBOXIDIZED_\\fINAME\\fR\nAny option: its long name in capitals, with _ for "
      "\\-, as in OXIDIZED_MAX_TOKENS=100; a default for whatever can use "
      "it.\n";
  for (const auto& [name, meaning] : OtherVariables()) {
    if (meaning != nullptr) page += fmt::format(".TP\n\\fB{}\\fR\n{}\n", Roff(name), Roff(meaning));
  }
  return page + ".TP\n\\fBNO_COLOR\\fR\nIf set and not empty: no colours.\n";
}

}  // namespace oxidized::cli
