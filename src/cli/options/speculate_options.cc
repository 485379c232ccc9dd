// --speculate, for commands that generate text.
#include <charconv>

#include "cli/options/command.h"

namespace oxidized::cli {
namespace {

constexpr int32_t kMostFixed = 64;

SpeculationOptions ParseSpeculation(const std::string& text) {
  if (text == "off") return {};
  if (text == "auto") return SpeculationOptions::Auto();
  int32_t tokens = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), tokens);
  if (error != std::errc() || end != text.data() + text.size() || tokens < 1 || tokens > kMostFixed)
    throw BadValue{fmt::format("'{}' is neither off, auto, nor a number from 1 to {}", text, kMostFixed)};
  return SpeculationOptions::Fixed(tokens);
}

}  // namespace

void AddSpeculationOptions(Command& command, SpeculationOptions& options) {
  command.Add(
      "--speculate",
      {"off|auto|N", [&options](const std::string& text) { options = ParseSpeculation(text); }},
      "Guess tokens that repeat earlier text and check several in one step; exact: the same text with "
      "and without. auto: where measured times say it pays; N: always so many [auto]");
}

}  // namespace oxidized::cli
