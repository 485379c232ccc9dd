// How much of the experts may be in memory, as a person says it, and what that is in slots of the pool.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "experts/expert_file_map.h"

namespace oxidized {

// Exactly one of the two.
struct ExpertBudget {
  std::optional<int64_t> bytes;
  std::optional<double> share;  // of all experts, 0 to 1
};

// "4GiB", "500MB", "1.5G" (G is GiB), "123456789", "25%". nullopt: none of these.
std::optional<ExpertBudget> ParseExpertBudget(std::string_view text);

// Slots of the pool; 0: every expert fits, so that no pool is needed. The least is one token's experts of a
// layer. Throws Error(kUsage) naming that least when the budget is below it.
int32_t SlotsFor(const ExpertBudget& budget, const ExpertFileMap& map, int32_t experts_per_token);

}  // namespace oxidized
