#include "cli/options/option_rules.h"

#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/error.h"
#include "base/log.h"

namespace oxidized::cli {
namespace {

using Kind = OptionRule::Kind;

// nullptr: the command has no such option.
const CLI::Option* Find(const CLI::App& app, const std::string& name) {
  return app.get_option_no_throw(name);
}

bool Given(const CLI::App& app, const std::string& name) {
  const CLI::Option* option = Find(app, name);
  return option != nullptr && option->count() > 0;
}

bool On(const CLI::App& app, const std::string& name) {
  if (!Given(app, name)) return false;
  const CLI::Option& option = *Find(app, name);
  return option.get_items_expected_max() > 0 || option.as<bool>();
}

// "--a, --b or --c", of those that this command has.
std::string AnyOf(const CLI::App& app, const std::vector<std::string>& names) {
  std::vector<std::string> known;
  for (const std::string& name : names) {
    if (Find(app, name) != nullptr) known.push_back(name);
  }
  std::string text;
  for (size_t i = 0; i < known.size(); ++i)
    text += (i == 0 ? "" : i + 1 == known.size() ? " or " : ", ") + known[i];
  return text;
}

// As it was written: a word without a dash is known by what it says.
std::string Shown(const CLI::App& app, const std::string& name) {
  const CLI::Option& option = *Find(app, name);
  return option.get_positional() ? fmt::format("{}", fmt::join(option.results(), " ")) : name;
}

std::string Behind(const OptionRule& rule) { return rule.because.empty() ? "" : ": " + rule.because; }

}  // namespace

bool Written(const CLI::App& app, const std::string& name, std::span<const std::string> words) {
  if (!Given(app, name)) return false;
  const CLI::Option& option = *Find(app, name);
  return option.get_lnames().empty() || Named(option, words);  // without a name it is set nowhere else
}

bool Named(const CLI::Option& option, std::span<const std::string> words) {
  return std::any_of(words.begin(), words.end(), [&](const std::string_view word) {
    const auto is_long = [&](const std::string& form) {
      return word == "--" + form || word.starts_with("--" + form + "=");
    };
    const auto is_short = [&](const std::string& form) { return word.starts_with("-" + form); };
    return std::any_of(option.get_lnames().begin(), option.get_lnames().end(), is_long) ||
           std::any_of(option.get_snames().begin(), option.get_snames().end(), is_short);
  });
}

std::vector<CLI::Option*> Overruled(const CLI::App& app, std::span<const OptionRule> rules,
                                    std::span<const std::string> words) {
  std::vector<CLI::Option*> overruled;
  const auto named = [&](const std::string& name) {
    const CLI::Option* option = Find(app, name);
    return option != nullptr && Named(*option, words) &&
           std::find(words.begin(), words.end(), name + "=false") == words.end();
  };
  const auto give_way = [&](const std::vector<std::string>& to, const std::vector<std::string>& names) {
    if (std::none_of(to.begin(), to.end(), named)) return;
    for (const std::string& name : names) {
      const CLI::Option* option = Find(app, name);
      if (option != nullptr && !Named(*option, words)) overruled.push_back(const_cast<CLI::Option*>(option));
    }
  };
  for (const OptionRule& rule : rules) {
    if (rule.kind != Kind::kContradicts) continue;
    give_way(rule.options, rule.others);
    give_way(rule.others, rule.options);
  }
  return overruled;
}

void CheckRules(const CLI::App& app, std::span<const OptionRule> rules, std::span<const std::string> words) {
  for (const OptionRule& rule : rules) {
    if (rule.when && !rule.when()) continue;
    const auto other = std::find_if(rule.others.begin(), rule.others.end(),
                                    [&](const std::string& name) { return On(app, name); });
    if ((other == rule.others.end()) != (rule.kind == Kind::kNeeds)) continue;
    std::string idle;
    for (const std::string& name : rule.options) {
      if (rule.kind == Kind::kContradicts ? !On(app, name) : !Written(app, name, words)) continue;
      switch (rule.kind) {
        case Kind::kNeeds:
          Fail(ErrorKind::kUsage, "{} needs {}: alone it has no effect{}", name, AnyOf(app, rule.others),
               Behind(rule));
        case Kind::kUselessWith:
          Fail(ErrorKind::kUsage, "{} has no effect with {}{}", name, Shown(app, *other), Behind(rule));
        case Kind::kIdleWith:
          idle += (idle.empty() ? "" : ", ") + name;
          break;
        case Kind::kContradicts:
          Fail(ErrorKind::kUsage, "{} and {} exclude each other{}", name, *other, Behind(rule));
      }
    }
    if (!idle.empty()) Log(LogLevel::kWarning, "{}: no effect with {}{}", idle, *other, Behind(rule));
  }
}

}  // namespace oxidized::cli
