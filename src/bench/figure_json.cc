#include "bench/figure_json.h"

#include <nlohmann/json.hpp>

namespace oxidized {

void AddSummary(const Summary& summary, nlohmann::ordered_json& json) {
  json["median"] = summary.median;
  json["min"] = summary.min;
  json["max"] = summary.max;
  json["gb_per_s"] = summary.gb_per_s;
  json["memory_share"] = summary.memory_share;
  json["gflop_per_s"] = summary.gflop_per_s;
  json["arithmetic_share"] = summary.arithmetic_share;
}

}  // namespace oxidized
