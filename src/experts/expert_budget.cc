#include "experts/expert_budget.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "base/printable.h"

namespace oxidized {
namespace {

struct Unit {
  std::string_view name;
  double bytes;
};
constexpr double kKi = 1024.0;
constexpr Unit kUnits[] = {
    {"", 1},
    {"B", 1},
    {"KiB", kKi},
    {"K", kKi},
    {"kB", 1e3},
    {"KB", 1e3},
    {"MiB", kKi* kKi},
    {"M", kKi* kKi},
    {"MB", 1e6},
    {"GiB", kKi* kKi* kKi},
    {"G", kKi* kKi* kKi},
    {"GB", 1e9},
    {"TiB", kKi* kKi* kKi* kKi},
    {"T", kKi* kKi* kKi* kKi},
    {"TB", 1e12},
};

}  // namespace

std::optional<ExpertBudget> ParseExpertBudget(std::string_view text) {
  double number = 0.0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc() || !std::isfinite(number) || number <= 0.0) return std::nullopt;
  std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  if (unit.starts_with(' ')) unit.remove_prefix(1);
  if (unit == "%") {
    if (number > 100.0) return std::nullopt;
    return ExpertBudget{.bytes = std::nullopt, .share = number / 100.0};
  }
  for (const Unit& known : kUnits) {
    constexpr double kMost = 1e18;
    if (unit == known.name && number * known.bytes < kMost)
      return ExpertBudget{.bytes = static_cast<int64_t>(number * known.bytes), .share = std::nullopt};
  }
  return std::nullopt;
}

int32_t SlotsFor(const ExpertBudget& budget, const ExpertFileMap& map, int32_t experts_per_token) {
  const int64_t all = map.num_stored();
  const int64_t slots = budget.share ? static_cast<int64_t>(*budget.share * static_cast<double>(all) + 1e-9)
                                     : *budget.bytes / std::max<int64_t>(1, map.slot_bytes());
  if (slots >= all) return 0;
  if (slots < experts_per_token) {
    const int64_t least = experts_per_token * map.slot_bytes();
    const std::string give = fmt::format("give at least {} bytes ({:.1f} MiB) or {:.2f}%", least,
                                         static_cast<double>(least) / 1048576.0,
                                         std::ceil(1e4 * experts_per_token / static_cast<double>(all)) / 1e2);
    throw Error(ErrorKind::kUsage, {.setting = Setting::kExpertMemory,
                                    .found = fmt::format("room for {}, a token uses {} in a layer",
                                                         Counted(slots, "expert"), experts_per_token),
                                    .remedies = {{Setting::kNone, give}}});
  }
  return static_cast<int32_t>(slots);
}

}  // namespace oxidized
