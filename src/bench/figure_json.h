// What the records of `bench` and of `bench moe` say of a figure in the same words.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "bench/figure.h"

namespace oxidized {

// median, min, max, gb_per_s, memory_share, gflop_per_s, arithmetic_share, behind what is there; NaN becomes
// null.
void AddSummary(const Summary& summary, nlohmann::ordered_json& json);

}  // namespace oxidized
