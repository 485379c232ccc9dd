#include "cli/options/environment.h"

#include <fmt/core.h>

#include <algorithm>
#include <string_view>

#include "base/printable.h"
#include "cli/options/nearest.h"

namespace oxidized::cli {
namespace {

constexpr EnvironmentVariable kVariables[] = {
    {"OXIDIZED_MODEL", "The model when none is named."},
    {"OXIDIZED_CPU_TIER",
     "Kernels of this tier (--version --verbose lists them) instead of the best there are."},
    {"OXIDIZED_HUB_CONNECTIONS", "Connections for one file of a download."},
    {"OXIDIZED_HUB_TRIES", "Failures in a row that end a download."},
    {"OXIDIZED_HUB_BACKOFF_MS", "The first pause after a failure."},
    {"OXIDIZED_PROGRAM", nullptr},
    {"OXIDIZED_CONFORMANCE", nullptr},
    {"OXIDIZED_SANITIZED", nullptr},
    {"OXIDIZED_SANITIZE", nullptr},
    {"OXIDIZED_WERROR", nullptr},
    {"OXIDIZED_TESTS", nullptr},
    {"OXIDIZED_FUZZERS", nullptr},
    {"OXIDIZED_ARM_ROOT", nullptr},
};

}  // namespace

std::span<const EnvironmentVariable> OtherVariables() { return kVariables; }

std::vector<std::string> UnknownVariables(const char* const* environment,
                                          const std::vector<std::string>& of_options) {
  std::vector<std::string> lines;
  for (; *environment != nullptr; ++environment) {
    const std::string_view entry = *environment;
    const std::string_view name = entry.substr(0, entry.find('='));
    if (!name.starts_with("OXIDIZED_")) continue;
    bool known = false;
    std::string_view nearest;
    size_t least = std::string_view::npos;
    const auto compare = [&](std::string_view candidate, bool offer) {
      const size_t distance = EditDistance(name, candidate);
      known = known || distance == 0;
      if (!offer || distance >= least) return;
      least = distance;
      nearest = candidate;
    };
    for (const EnvironmentVariable& variable : kVariables)
      compare(variable.name, variable.meaning != nullptr);
    for (const std::string& variable : of_options) compare(variable, true);
    if (known) continue;
    lines.push_back(fmt::format(
        "the environment sets {}, which this program does not know; the nearest name it knows is {}",
        EscapeUnprintable(name), nearest));
  }
  return lines;
}

}  // namespace oxidized::cli
