// What routing did, for people (tables that fit 80 columns; the page of moe_page.h) and for programs (JSON).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "engine/engine.h"
#include "moe/expert_cache_counters.h"
#include "moe/routing_collector.h"

namespace oxidized {

// Views of what a run has collected.
struct MoeReport {
  std::string model;  // a name for people
  std::string date;   // "2026-01-31 17:05"; empty: not said
  std::string run;    // device and options, for people; empty: not said
  RoutingPolicy policy;
  const RoutingCollector* routing = nullptr;
  const StageTotals* prefill = nullptr;  // since the engine began
  const StageTotals* decode = nullptr;
  ExpertCacheCounters cache;  // no layers: every expert is resident
};

// One row a layer, worst balanced first, with a bar for each expert.
std::string RoutingTable(const RoutingStats& routing);
// The table; then a row each for prefill and decode, and what the router's logits say.
std::string RoutingTables(const RoutingStats& routing, const RoutingShape& shape);
// The window, time and cache: what is not of one answer.
std::string RunTables(const MoeReport& report);

// docs/json-output.md has the fields.
nlohmann::ordered_json MoeJson(const MoeReport& report, const RoutingStats& routing);
nlohmann::ordered_json CacheJson(const ExpertCacheCounters& cache);

}  // namespace oxidized
