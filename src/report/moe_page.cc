#include "report/moe_page.h"

#include <cstddef>
#include <nlohmann/json.hpp>
#include <span>

#include "base/error.h"

namespace oxidized::embedded {
std::span<const std::byte> moe_page();
}

namespace oxidized {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kPlace = "@DATA@";

Json TimelineJson(const RoutingTimeline& timeline, int32_t num_layers) {
  Json bins = Json::array();
  for (int32_t bin = 0; bin < timeline.bins(); ++bin) {
    Json layers = Json::array();
    for (int32_t l = 0; l < num_layers; ++l) layers.push_back(Json(timeline.counts(bin, l)));
    bins.push_back({{"tokens", timeline.tokens(bin)},
                    {"prefill", timeline.prefill_tokens(bin)},
                    {"counts", std::move(layers)}});
  }
  return {{"tokens_per_bin", timeline.tokens_per_bin()}, {"bins", std::move(bins)}};
}

// No text of the data can end the script element it stands in.
std::string Escaped(const std::string& json) {
  std::string escaped;
  for (const char c : json) {
    if (c == '<') {
      escaped += "\\u003c";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

}  // namespace

std::string MoePage(const MoeReport& report) {
  Json data = MoeJson(report, report.routing->Total());
  data["model"] = report.model;
  data["program"] = OXIDIZED_VERSION;
  data["date"] = report.date;
  data["run"] = report.run;
  data["timeline"] = TimelineJson(report.routing->timeline(), report.routing->shape().num_layers);
  const auto bytes = embedded::moe_page();
  std::string page(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const size_t place = page.find(kPlace);
  OX_CHECK(place != std::string::npos);
  // Names of files may hold any bytes.
  return page.replace(place, kPlace.size(),
                      Escaped(data.dump(-1, ' ', false, Json::error_handler_t::replace)));
}

}  // namespace oxidized
