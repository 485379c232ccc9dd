// Which options mean something only beside others, as a table that each command gives: an option that would
// do nothing is refused by name.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace oxidized::cli {

struct OptionRule {
  enum class Kind : uint8_t { kNeeds, kUselessWith, kContradicts, kIdleWith };
  std::vector<std::string> options;  // each of these, where it is given,
  Kind kind;
  std::vector<std::string> others;  // needs one of these; is useless beside, or contradicts, any of them;
                                    // kIdleWith: useless as well, but people write both: a warning
  std::string because = {};         // what to say behind that
  std::function<bool()> when = {};  // asked of the values: else the rule does not hold
};

// Whether a command line sets the option of this name, as against the environment or a config file.
bool Written(const CLI::App& app, const std::string& name, std::span<const std::string> words);

// Whether a word is one of its names. Asked of options that have names.
bool Named(const CLI::Option& option, std::span<const std::string> words);

// Options that the command line contradicts without naming them: what the environment or a config file says
// of them is to be passed over. Asked before the words are parsed.
std::vector<CLI::Option*> Overruled(const CLI::App& app, std::span<const OptionRule> rules,
                                    std::span<const std::string> words);

// Throws Error(kUsage) for the first rule that is broken. What the environment or a config file sets is a
// default for whatever can use it: only a contradiction between two defaults is refused there, and one option
// may well be there what another one needs. `words`: the command line's.
void CheckRules(const CLI::App& app, std::span<const OptionRule> rules, std::span<const std::string> words);

}  // namespace oxidized::cli
