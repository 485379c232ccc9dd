// Figures against closed forms and against sums made another way. The same figures from a real run, computed
// with NumPy from its trace: tests/e2e/moe_metrics_test.py.
#include "moe/routing_stats.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <random>

#include "moe/routing_collector.h"
#include "moe/routing_metrics.h"

namespace oxidized {
namespace {

TEST(LoadBalance, EvenLoad) {
  const LoadBalance even = BalanceOf(std::vector<int64_t>{3, 3, 3, 3});
  EXPECT_EQ(even.choices, 12);
  EXPECT_DOUBLE_EQ(even.max_over_mean, 1.0);
  EXPECT_DOUBLE_EQ(even.variation, 0.0);
  EXPECT_NEAR(even.gini, 0.0, 1e-15);
  EXPECT_DOUBLE_EQ(even.entropy, 1.0);
  EXPECT_EQ(even.busiest, 0);
}

TEST(LoadBalance, AllOnOne) {
  const LoadBalance one = BalanceOf(std::vector<int64_t>{0, 0, 8, 0});
  EXPECT_DOUBLE_EQ(one.max_over_mean, 4.0);
  EXPECT_DOUBLE_EQ(one.variation, std::sqrt(3.0));
  EXPECT_DOUBLE_EQ(one.gini, 0.75);
  EXPECT_DOUBLE_EQ(one.entropy, 0.0);
  EXPECT_EQ(one.busiest, 2);
  EXPECT_EQ(one.idle, 3);
}

TEST(LoadBalance, NothingYet) {
  const LoadBalance none = BalanceOf(std::vector<int64_t>{0, 0});
  EXPECT_EQ(none.idle, 2);
  EXPECT_EQ(none.max_over_mean + none.variation + none.gini + none.entropy, 0.0);
}

TEST(RouterDetail, ProbabilityEntropyAndMargin) {
  RouterDetail detail;
  detail.probability.assign(4, 0.0);
  const std::vector<float> even(4, 2.5f);
  AddRouterDetail(even, 2, detail);
  EXPECT_NEAR(detail.entropy, std::log(4.0), 1e-12);
  EXPECT_EQ(detail.near_ties, (std::array<int64_t, 4>{1, 1, 1, 1}));
  const float l3 = std::log(3.0f), l4 = std::log(4.0f);
  AddRouterDetail(std::vector<float>{0.0f, l3, 0.0f, l3}, 2, detail);  // 1/8 3/8 1/8 3/8
  EXPECT_NEAR(detail.entropy - std::log(4.0), -(0.25 * std::log(0.125) + 0.75 * std::log(0.375)), 1e-6);
  EXPECT_NEAR(detail.probability[1], 0.25 + 0.375, 1e-6);
  EXPECT_EQ(detail.near_ties, (std::array<int64_t, 4>{1, 1, 1, 1}));  // log 3 > 1
  EXPECT_NEAR(detail.margin, l3, 1e-6);
  AddRouterDetail(std::vector<float>{l4, 0.0f, 0.0f, 0.0f}, 4, detail);  // nobody is left over
  EXPECT_EQ(detail.margins, 2);
  EXPECT_EQ(detail.tokens, 3);
}

TEST(RouterMargin, IsTheGapAfterTheKth) {
  std::mt19937 random(1);
  for (int n = 0; n < 200; ++n) {
    std::vector<float> logits(1 + random() % 40);
    for (float& logit : logits) logit = static_cast<float>(static_cast<int>(random() % 20)) - 10.0f;
    const auto k = static_cast<int32_t>(1 + random() % logits.size());
    const float margin = RouterMargin(logits, k);
    std::sort(logits.begin(), logits.end(), std::greater<>());
    if (k == static_cast<int32_t>(logits.size())) {
      EXPECT_TRUE(std::isinf(margin));
    } else {
      EXPECT_EQ(margin, logits[static_cast<size_t>(k) - 1] - logits[static_cast<size_t>(k)]);
    }
  }
}

TEST(PairIndex, CountsTheUpperTriangle) {
  size_t next = 0;
  for (int32_t a = 0; a < 7; ++a) {
    for (int32_t b = a + 1; b < 7; ++b) EXPECT_EQ(PairIndex(a, b, 7), next++);
  }
  EXPECT_EQ(next, 21u);
}

// Made-up rows of a model with 2 layers, 6 experts of which 5 may be chosen, 2 a token.
struct Rows {
  static constexpr RoutingShape kShape{2, 6, 2, 5};
  std::vector<int32_t> tokens;
  std::vector<int32_t> experts[2];
  std::vector<float> weights[2], logits[2];
  std::vector<uint8_t> dropped[2], rerouted[2];
  std::vector<RoutedRows> layers;
  std::vector<std::span<const float>> router;
  ObservedRows observed;

  Rows(int count, RoutingPhase phase, std::mt19937& random) : tokens(static_cast<size_t>(count)) {
    for (int l = 0; l < 2; ++l) {
      for (int t = 0; t < count; ++t) {
        const auto a = static_cast<int32_t>(random() % 5),
                   b = static_cast<int32_t>((a + 1 + random() % 4) % 5);
        const bool drops = random() % 8 == 0;
        experts[l].insert(experts[l].end(), {a, drops ? -1 : b, -1});  // one place more than K
        weights[l].insert(weights[l].end(), {0.5f, 0.5f, 0.0f});
        dropped[l].push_back(drops);
        rerouted[l].push_back(random() % 2);
        for (int e = 0; e < 6; ++e) logits[l].push_back(static_cast<float>(random() % 1000) / 250.0f);
      }
      layers.push_back({3, experts[l], weights[l], dropped[l], rerouted[l]});
      router.emplace_back(logits[l]);
    }
    observed = {1, 1, phase, 0, tokens, layers, router};
  }
};

void ExpectEqual(const RoutingStats& a, const RoutingStats& b) {
  for (const RoutingPhase phase : {RoutingPhase::kPrefill, RoutingPhase::kDecode}) {
    for (size_t l = 0; l < 2; ++l) {
      const LayerRouting &x = a.phase(phase)[l], &y = b.phase(phase)[l];
      EXPECT_EQ(x.counts, y.counts);
      EXPECT_EQ(x.pairs, y.pairs);
      EXPECT_EQ(std::tie(x.tokens, x.dropped, x.rerouted), std::tie(y.tokens, y.dropped, y.rerouted));
      EXPECT_EQ(x.router.near_ties, y.router.near_ties);
      EXPECT_EQ(x.router.smallest_margin, y.router.smallest_margin);
      EXPECT_EQ(x.router.tokens, y.router.tokens);
      EXPECT_NEAR(x.router.entropy, y.router.entropy, 1e-9);
      for (size_t e = 0; e < 6; ++e) EXPECT_NEAR(x.router.probability[e], y.router.probability[e], 1e-9);
    }
  }
}

// The ring against sums over exactly the rows that it should hold.
TEST(RoutingWindow, HoldsTheLastTokens) {
  std::mt19937 random(5);
  for (const int capacity : {1, 7, 64, 1000}) {
    std::vector<std::unique_ptr<Rows>> single;  // one token each
    RoutingWindow window(Rows::kShape, capacity);
    int64_t seen = 0;
    for (int step = 0; step < 40; ++step) {
      const auto phase = step % 3 == 0 ? RoutingPhase::kPrefill : RoutingPhase::kDecode;
      const int count = phase == RoutingPhase::kPrefill ? 1 + static_cast<int>(random() % 12) : 1;
      const uint32_t seed = static_cast<uint32_t>(random());
      std::mt19937 rows_random(seed);
      Rows rows(count, phase, rows_random);
      window.OnRows(rows.observed);
      seen += count;
      for (int t = 0; t < count; ++t) {  // the same rows, cut into tokens
        std::mt19937 none(1);
        auto token = std::make_unique<Rows>(1, phase, none);
        const auto at = static_cast<ptrdiff_t>(t);
        for (int l = 0; l < 2; ++l) {
          std::copy_n(rows.experts[l].begin() + at * 3, 3, token->experts[l].begin());
          std::copy_n(rows.logits[l].begin() + at * 6, 6, token->logits[l].begin());
          token->dropped[l][0] = rows.dropped[l][static_cast<size_t>(t)];
          token->rerouted[l][0] = rows.rerouted[l][static_cast<size_t>(t)];
        }
        single.push_back(std::move(token));
      }
      RoutingStats expected = RoutingStats::Detailed(Rows::kShape);
      const size_t kept = std::min(single.size(), static_cast<size_t>(capacity));
      for (size_t i = single.size() - kept; i < single.size(); ++i) expected.Add(single[i]->observed);
      EXPECT_EQ(window.tokens(), std::min<int64_t>(seen, capacity));
      ExpectEqual(window.Stats(), expected);
    }
  }
}

TEST(RoutingTimeline, KeepsEveryChoiceWhileBinsGrow) {
  std::mt19937 random(6);
  RoutingTimeline timeline(Rows::kShape);
  RoutingStats expected(2, 6);
  int64_t seen = 0, prefill = 0;
  for (int step = 0; step < 300; ++step) {
    const auto phase = step < 20 ? RoutingPhase::kPrefill : RoutingPhase::kDecode;
    Rows rows(1 + static_cast<int>(random() % 3), phase, random);
    timeline.OnRows(rows.observed);
    expected.Add(rows.observed);
    seen += static_cast<int64_t>(rows.tokens.size());
    if (phase == RoutingPhase::kPrefill) prefill += static_cast<int64_t>(rows.tokens.size());
    ASSERT_LE(timeline.bins(), RoutingTimeline::kBins);
    std::vector<int64_t> sums[2] = {std::vector<int64_t>(6), std::vector<int64_t>(6)};
    int64_t tokens = 0, prefill_tokens = 0;
    for (int32_t bin = 0; bin < timeline.bins(); ++bin) {
      if (bin + 1 < timeline.bins()) {
        ASSERT_EQ(timeline.tokens(bin), timeline.tokens_per_bin());
      }
      tokens += timeline.tokens(bin);
      prefill_tokens += timeline.prefill_tokens(bin);
      for (int32_t l = 0; l < 2; ++l) {
        for (size_t e = 0; e < 6; ++e) sums[l][e] += timeline.counts(bin, l)[e];
      }
    }
    ASSERT_EQ(tokens, seen);
    ASSERT_EQ(prefill_tokens, prefill);
    for (size_t l = 0; l < 2; ++l) ASSERT_EQ(sums[l], expected.layers()[l].counts);
  }
}

TEST(RoutingCollector, RequestsAddUp) {
  std::mt19937 random(7);
  RoutingCollector collector(Rows::kShape, 16);
  RoutingStats expected = RoutingStats::Detailed(Rows::kShape);
  for (int request = 0; request < 3; ++request) {
    collector.BeginRequest();
    RoutingStats of_this = RoutingStats::Detailed(Rows::kShape);
    for (int step = 0; step < 5; ++step) {
      Rows rows(3, step == 0 ? RoutingPhase::kPrefill : RoutingPhase::kDecode, random);
      collector.OnRows(rows.observed);
      of_this.Add(rows.observed);
    }
    expected.Add(of_this);
    ExpectEqual(collector.last(), of_this);
    ExpectEqual(collector.Total(), expected);
  }
}

TEST(Figures, WorstBalancedLayersComeFirst) {
  std::vector<LayerRouting> layers(3);
  layers[0].counts = {5, 5};
  layers[1].counts = {9, 1};
  layers[2].counts = {7, 3};
  EXPECT_EQ(WorstBalancedFirst(layers), (std::vector<int32_t>{1, 2, 0}));
}

TEST(Figures, LogitsThatAreNotFiniteAreCountedAndLeftOut) {
  RouterDetail detail;
  detail.probability.assign(3, 0.0);
  AddRouterDetail(std::vector<float>{1.0f, 2.0f, 4.0f}, 1, detail);
  const RouterDetail before = detail;
  for (const float bad : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
    AddRouterDetail(std::vector<float>{1.0f, bad, 4.0f}, 1, detail);
    EXPECT_TRUE(std::isnan(RouterMargin(std::vector<float>{1.0f, bad, 4.0f}, 1)));
  }
  EXPECT_EQ(detail.not_finite, 3);
  EXPECT_EQ(std::tie(detail.tokens, detail.probability, detail.entropy, detail.margins, detail.margin),
            std::tie(before.tokens, before.probability, before.entropy, before.margins, before.margin));
}

TEST(Figures, PairsAndSwitchLoss) {
  LayerRouting layer;
  layer.counts = {4, 4, 2, 0};
  layer.tokens = 5;
  layer.pairs = {3, 1, 0, 1, 0, 0};  // 01 02 03 12 13 23
  layer.router.tokens = 5;
  layer.router.probability = {2.0, 2.0, 0.5, 0.5};
  const auto top = TopPairs(layer, 2);
  ASSERT_EQ(top.size(), 2u);
  EXPECT_EQ(std::tie(top[0].a, top[0].b, top[0].tokens), std::make_tuple(0, 1, int64_t{3}));
  EXPECT_DOUBLE_EQ(top[0].lift, 3.0 / (16 * (5.0 / 32)));  // 5 pairs; products 16 + 8 + 8
  EXPECT_EQ(top[1].b, 2);                                  // the lowest ids of those with one token
  EXPECT_DOUBLE_EQ(FiguresOf(layer, 4).switch_loss, 4 * (0.4 * 0.4 + 0.4 * 0.4 + 0.2 * 0.1));
  EXPECT_DOUBLE_EQ(FiguresOf(layer, size_t{0}).frequency, 0.8);
}

}  // namespace
}  // namespace oxidized
