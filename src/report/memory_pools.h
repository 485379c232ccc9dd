// The second half of --memory-stats: how full the pools are and were (KV blocks, expert slots), what the
// expert store and the clean-up did. For people and for programs.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "model_host/runtime.h"

namespace oxidized::cli {

std::string PoolTable(const Runtime& runtime);

// {process:{resident, peak, accounted}, classes:[{what, resident, reserved}], kv:[{window, blocks, held,
// most_held}], expert_store: null or {...}, cleanup: null or {...}}; docs/json-output.md has the fields.
nlohmann::ordered_json MemoryStatsJson(const Runtime& runtime);

}  // namespace oxidized::cli
