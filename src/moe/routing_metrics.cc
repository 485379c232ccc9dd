#include "moe/routing_metrics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace oxidized {
namespace {

double Over(double a, double b) { return b > 0.0 ? a / b : 0.0; }

}  // namespace

LoadBalance BalanceOf(std::span<const int64_t> counts) {
  LoadBalance balance;
  balance.choices = std::accumulate(counts.begin(), counts.end(), int64_t{0});
  if (counts.empty()) return balance;
  const auto busiest = std::max_element(counts.begin(), counts.end());
  balance.busiest = static_cast<int32_t>(busiest - counts.begin());
  balance.busiest_choices = *busiest;
  balance.idle = static_cast<int32_t>(std::count(counts.begin(), counts.end(), 0));
  if (balance.choices == 0) return balance;

  const auto n = static_cast<double>(counts.size()), total = static_cast<double>(balance.choices);
  const double mean = total / n;
  std::vector<int64_t> sorted(counts.begin(), counts.end());
  std::sort(sorted.begin(), sorted.end());
  double squares = 0.0, ranked = 0.0, entropy = 0.0;
  for (size_t i = 0; i < sorted.size(); ++i) {
    const auto count = static_cast<double>(sorted[i]);
    squares += (count - mean) * (count - mean);
    ranked += static_cast<double>(i + 1) * count;
    if (count > 0.0) entropy -= count / total * std::log(count / total);
  }
  balance.max_over_mean = static_cast<double>(balance.busiest_choices) / mean;
  balance.variation = std::sqrt(squares / n) / mean;
  balance.gini = 2.0 * ranked / (n * total) - (n + 1.0) / n;
  balance.entropy = n > 1.0 ? entropy / std::log(n) : 1.0;
  return balance;
}

LayerFigures FiguresOf(const LayerRouting& layer, int32_t usable) {
  usable = std::min(usable, static_cast<int32_t>(layer.counts.size()));  // a layer may have fewer
  LayerFigures figures;
  figures.balance = BalanceOf(layer.counts);
  const RouterDetail& router = layer.router;
  const auto tokens = static_cast<double>(router.tokens);
  for (size_t e = 0; e < router.probability.size(); ++e)
    figures.switch_loss += FiguresOf(layer, e).share * FiguresOf(layer, e).probability;
  figures.switch_loss *= static_cast<double>(layer.counts.size());
  figures.router_entropy = usable > 1 ? Over(router.entropy, tokens) / std::log(usable) : 0.0;
  figures.mean_margin = Over(router.margin, static_cast<double>(router.margins));
  figures.smallest_margin = router.smallest_margin;
  return figures;
}

ExpertFigures FiguresOf(const LayerRouting& layer, size_t expert) {
  const auto count = static_cast<double>(layer.counts[expert]);
  const int64_t choices = std::accumulate(layer.counts.begin(), layer.counts.end(), int64_t{0});
  ExpertFigures figures{.share = Over(count, static_cast<double>(choices)),
                        .frequency = Over(count, static_cast<double>(layer.tokens))};
  if (expert < layer.router.probability.size())
    figures.probability = Over(layer.router.probability[expert], static_cast<double>(layer.router.tokens));
  return figures;
}

std::vector<PairFigures> TopPairs(const LayerRouting& layer, size_t count) {
  std::vector<PairFigures> top;
  const auto experts = static_cast<int32_t>(layer.counts.size());
  if (layer.pairs.empty()) return top;
  const auto before = [](const PairFigures& x, const PairFigures& y) {
    return x.tokens > y.tokens || (x.tokens == y.tokens && (x.a < y.a || (x.a == y.a && x.b < y.b)));
  };
  // Expected: as many pairs in all, each in proportion to the product of its experts' counts.
  double choices = 0.0, squares = 0.0;
  for (const int64_t count_of : layer.counts) {
    choices += static_cast<double>(count_of);
    squares += static_cast<double>(count_of) * static_cast<double>(count_of);
  }
  const auto pairs = static_cast<double>(std::accumulate(layer.pairs.begin(), layer.pairs.end(), int64_t{0}));
  const double per_product = Over(pairs, (choices * choices - squares) / 2.0);
  for (int32_t a = 0; a < experts; ++a) {
    for (int32_t b = a + 1; b < experts; ++b) {
      const int64_t tokens = layer.pairs[PairIndex(a, b, experts)];
      if (tokens == 0) continue;
      const double both = static_cast<double>(layer.counts[static_cast<size_t>(a)]) *
                          static_cast<double>(layer.counts[static_cast<size_t>(b)]);
      top.push_back({a, b, tokens, Over(static_cast<double>(tokens), both * per_product)});
    }
  }
  const size_t kept = std::min(count, top.size());
  std::partial_sort(top.begin(), top.begin() + static_cast<ptrdiff_t>(kept), top.end(), before);
  top.resize(kept);
  return top;
}

std::vector<int32_t> WorstBalancedFirst(std::span<const LayerRouting> layers) {
  std::vector<double> variation;
  for (const LayerRouting& layer : layers) variation.push_back(BalanceOf(layer.counts).variation);
  std::vector<int32_t> order(layers.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&variation](int32_t a, int32_t b) {
    return variation[static_cast<size_t>(a)] > variation[static_cast<size_t>(b)];
  });
  return order;
}

}  // namespace oxidized
