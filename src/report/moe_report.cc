#include "report/moe_report.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/printable.h"
#include "moe/routing_metrics.h"
#include "report/stage_parts.h"

namespace oxidized {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kStripColumns = 32;

double Over(double a, double b) { return b > 0.0 ? a / b : 0.0; }

// A bar for each expert (for the busiest of each neighbourhood, where there are more than columns), full
// height for the layer's busiest one; a dot is no use at all.
std::string Strip(const std::vector<int64_t>& counts) {
  const size_t columns = std::min(kStripColumns, counts.size());
  const int64_t most = counts.empty() ? 0 : *std::max_element(counts.begin(), counts.end());
  std::string strip;
  for (size_t c = 0; c < columns; ++c) {
    const auto first = counts.begin() + static_cast<ptrdiff_t>(c * counts.size() / columns);
    const auto last = counts.begin() + static_cast<ptrdiff_t>((c + 1) * counts.size() / columns);
    const int64_t count = *std::max_element(first, last);
    if (count == 0) {
      strip += "·";
    } else {
      const int64_t eighth = (count * 8 + most - 1) / most;  // 1..8: U+2581..U+2588
      strip += {static_cast<char>(0xE2), static_cast<char>(0x96), static_cast<char>(0x80 + eighth)};
    }
  }
  return strip;
}

// Means over layers of what a phase did.
struct PhaseMeans {
  int64_t tokens = 0, dropped = 0, rerouted = 0;
  double max_over_mean = 0.0, variation = 0.0, gini = 0.0;
  double router_entropy = 0.0, switch_loss = 0.0, near_ties = 0.0;  // near_ties: share of tokens below 0.01
};

constexpr size_t kNearTie = 1;  // index into kNearTieMargins: 0.01

PhaseMeans MeansOf(const std::vector<LayerRouting>& layers, int32_t usable) {
  PhaseMeans means;
  const auto count = static_cast<double>(layers.size());
  for (const LayerRouting& layer : layers) {
    const LayerFigures figures = FiguresOf(layer, usable);
    means.tokens = layer.tokens;
    means.dropped += layer.dropped;
    means.rerouted += layer.rerouted;
    means.max_over_mean += figures.balance.max_over_mean / count;
    means.variation += figures.balance.variation / count;
    means.gini += figures.balance.gini / count;
    means.router_entropy += figures.router_entropy / count;
    means.switch_loss += figures.switch_loss / count;
    means.near_ties += Over(static_cast<double>(layer.router.near_ties[kNearTie]),
                            static_cast<double>(layer.router.margins)) /
                       count;
  }
  return means;
}

std::string MeansHeader() {
  return "layer means   tokens max/mean   CV  Gini router aux loss   ties dropped rerouted";
}
std::string MeansRow(const std::string& name, const PhaseMeans& m) {
  return fmt::format("\n{:<12}{:>8}{:>9.2f}{:>5.2f}{:>6.2f}{:>5.0f} %{:>9.3f}{:>5.1f} %{:>8}{:>9}", name,
                     m.tokens, m.max_over_mean, m.variation, m.gini, 100.0 * m.router_entropy, m.switch_loss,
                     100.0 * m.near_ties, m.dropped, m.rerouted);
}

Json LayerJson(const LayerRouting& layer, int32_t usable, bool pairs) {
  const LayerFigures f = FiguresOf(layer, usable);
  Json json = {{"tokens", layer.tokens},
               {"counts", layer.counts},
               {"dropped", layer.dropped},
               {"rerouted", layer.rerouted},
               {"max_over_mean", f.balance.max_over_mean},
               {"variation", f.balance.variation},
               {"gini", f.balance.gini},
               {"load_entropy", f.balance.entropy}};
  if (layer.router.not_finite > 0) json["router_not_finite"] = layer.router.not_finite;
  if (layer.router.tokens > 0) {
    Json probability = Json::array();
    for (size_t e = 0; e < layer.counts.size(); ++e) probability.push_back(FiguresOf(layer, e).probability);
    json["probability"] = std::move(probability);
    json["router_entropy"] = f.router_entropy;
    json["switch_loss"] = f.switch_loss;
    json["margin"] = {{"tokens", layer.router.margins},
                      {"mean", f.mean_margin},
                      {"smallest", std::isfinite(f.smallest_margin) ? Json(f.smallest_margin) : Json()},
                      {"near_ties", layer.router.near_ties}};
  }
  if (pairs && !layer.pairs.empty()) json["pairs"] = layer.pairs;
  return json;
}

Json LayersJson(const std::vector<LayerRouting>& layers, int32_t usable, bool pairs) {
  Json json = Json::array();
  for (const LayerRouting& layer : layers) json.push_back(LayerJson(layer, usable, pairs));
  return json;
}

Json TimesJson(const StageTotals& totals) {
  const StageParts parts = PartsOf(totals);
  return {{"steps", totals.steps},
          {"rows", totals.rows},
          {"routing_ms", parts.routing.microseconds / 1e3},
          {"experts_ms", parts.experts.microseconds / 1e3},
          {"combine_ms", parts.combine.microseconds / 1e3},
          {"all_ms", parts.all.microseconds / 1e3}};
}

Json CacheLayerJson(const ExpertCacheLayer& layer) {
  return {{"hits", layer.hits},
          {"late", layer.late},
          {"misses", layer.misses},
          {"prefetches", layer.prefetches},
          {"prefetch_hits", layer.prefetch_hits},
          {"evictions", layer.evictions},
          {"bytes_read", layer.bytes_read},
          {"stall_ms", layer.stall_microseconds / 1e3}};
}

}  // namespace

std::string RoutingTable(const RoutingStats& routing) {
  const std::vector<LayerRouting> layers = routing.layers();
  std::string table = "layer max/mean   CV Gini evenness    busiest idle  load of each expert";
  for (const int32_t l : WorstBalancedFirst(layers)) {
    const LayerRouting& layer = layers[static_cast<size_t>(l)];
    const LoadBalance b = BalanceOf(layer.counts);
    const double share = Over(static_cast<double>(b.busiest_choices), static_cast<double>(b.choices));
    table += fmt::format("\n{:>5}{:>9.2f}{:>5.2f}{:>5.2f}{:>7.0f} %{:>11}{:>5}  {}", l, b.max_over_mean,
                         b.variation, b.gini, 100.0 * b.entropy,
                         fmt::format("{}: {:.0f} %", b.busiest, 100.0 * share), b.idle, Strip(layer.counts));
  }
  return table;
}

std::string RoutingTables(const RoutingStats& routing, const RoutingShape& shape) {
  std::string text = RoutingTable(routing) + "\n" + MeansHeader();
  text += MeansRow("all", MeansOf(routing.layers(), shape.usable_experts));
  for (const RoutingPhase phase : {RoutingPhase::kPrefill, RoutingPhase::kDecode})
    text += MeansRow(Name(phase), MeansOf(routing.phase(phase), shape.usable_experts));
  int64_t not_finite = 0;
  for (const LayerRouting& layer : routing.layers()) not_finite += layer.router.not_finite;
  if (not_finite > 0)
    text += fmt::format("\nnot in router, aux loss, ties: {} of router logits that are not finite",
                        Counted(not_finite, "row"));
  struct Found {
    int32_t layer;
    PairFigures pair;
    double share;
  };
  std::vector<Found> found;  // the pair of each layer that stands out most among those often used together
  const std::vector<LayerRouting> layers = routing.layers();
  for (size_t l = 0; l < layers.size(); ++l) {
    for (const PairFigures& pair : TopPairs(layers[l], 1)) {
      found.push_back({static_cast<int32_t>(l), pair,
                       Over(static_cast<double>(pair.tokens), static_cast<double>(layers[l].tokens))});
    }
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const Found& a, const Found& b) { return a.share > b.share; });
  if (found.size() > 3) found.resize(3);
  for (size_t i = 0; i < found.size(); ++i) {
    text += fmt::format("{}layer {}: {}+{} ({:.0f} % of tokens, {:.1f} x chance)",
                        i == 0 ? "\ntogether  " : "\n          ", found[i].layer, found[i].pair.a,
                        found[i].pair.b, 100.0 * found[i].share, found[i].pair.lift);
  }
  return text;
}

std::string RunTables(const MoeReport& report) {
  const RoutingWindow& window = report.routing->window();
  const int32_t usable = report.routing->shape().usable_experts;
  std::string text = MeansHeader() + MeansRow(fmt::format("last {}", window.tokens()),
                                              MeansOf(window.Stats().layers(), usable));
  for (const auto& [name, totals] :
       {std::pair{"prefill", report.prefill}, std::pair{"decode", report.decode}}) {
    const StageParts parts = PartsOf(*totals);
    const double all = parts.all.microseconds;
    if (all <= 0.0) continue;
    text +=
        fmt::format("\ntime in {}: routing {:.1f} %, experts {:.1f} %, combine {:.1f} % of {:.1f} ms", name,
                    100.0 * parts.routing.microseconds / all, 100.0 * parts.experts.microseconds / all,
                    100.0 * parts.combine.microseconds / all, all / 1e3);
  }
  if (!report.cache.layers.empty()) {
    const ExpertCacheLayer all = report.cache.Total();
    text += fmt::format(
        "\nexpert cache: {} of {} slots used, {:.1f} % hits, {} late, {}, {} ({} used),\n"
        "              {}, {:.1f} MB read, {:.1f} ms stalled",
        report.cache.resident_experts, report.cache.budget_experts, 100.0 * all.hit_rate(), all.late,
        Counted(all.misses, "miss"), Counted(all.prefetches, "prefetch"), all.prefetch_hits,
        Counted(all.evictions, "eviction"), static_cast<double>(all.bytes_read) / 1e6,
        all.stall_microseconds / 1e3);
  }
  return text;
}

Json CacheJson(const ExpertCacheCounters& cache) {
  if (cache.layers.empty()) return Json();
  Json json = CacheLayerJson(cache.Total());
  json["resident_experts"] = cache.resident_experts;
  json["resident_bytes"] = cache.resident_bytes;
  json["budget_experts"] = cache.budget_experts;
  Json layers = Json::array();
  for (const ExpertCacheLayer& layer : cache.layers) layers.push_back(CacheLayerJson(layer));
  json["layers"] = std::move(layers);
  return json;
}

Json MoeJson(const MoeReport& report, const RoutingStats& routing) {
  const RoutingShape& shape = report.routing->shape();
  const RoutingWindow& window = report.routing->window();
  const int32_t usable = shape.usable_experts;
  Json json;
  json["strategy"] = report.policy.strategy->name();
  json["experts"] = shape.num_experts;
  json["usable_experts"] = usable;
  json["experts_per_token"] = shape.experts_per_token;
  json["layers"] = LayersJson(routing.layers(), usable, true);
  for (const RoutingPhase phase : {RoutingPhase::kPrefill, RoutingPhase::kDecode})
    json[Name(phase)] = {{"layers", LayersJson(routing.phase(phase), usable, false)}};
  json["window"] = {{"tokens", window.tokens()},
                    {"capacity", window.capacity()},
                    {"layers", LayersJson(window.Stats().layers(), usable, false)}};
  json["time"] = {{"prefill", TimesJson(*report.prefill)}, {"decode", TimesJson(*report.decode)}};
  json["cache"] = CacheJson(report.cache);
  return json;
}

}  // namespace oxidized
