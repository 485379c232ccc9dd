#include <gtest/gtest.h>

#include <cmath>

#include "moe/routing_policy.h"
#include "moe/routing_stats.h"

namespace oxidized {
namespace {

struct Routed {
  std::vector<int32_t> experts;
  std::vector<float> weights;
  std::vector<uint8_t> dropped, rerouted;
  int32_t stride;

  RoutedRows rows() { return {stride, experts, weights, dropped, rerouted}; }
};

Routed RouteAll(const RoutingPolicy& policy, int32_t model_k, const std::vector<float>& logits,
                int32_t num_experts, int32_t stride = 0) {
  Routed r;
  const size_t tokens = logits.size() / static_cast<size_t>(num_experts);
  r.stride = stride > 0 ? stride : ExpertsPerToken(policy, model_k);
  r.experts.assign(tokens * static_cast<size_t>(r.stride), 99);
  r.weights.assign(tokens * static_cast<size_t>(r.stride), NAN);
  r.dropped.assign(tokens, 99);
  r.rerouted.assign(tokens, 99);
  Route(policy, model_k, logits, num_experts, r.rows());
  return r;
}

TEST(Routing, TopKTakesTheHighestLogitsAndSoftmaxesOverThem) {
  const Routed r = RouteAll({}, 2, {std::log(1.0f), std::log(6.0f), std::log(2.0f), std::log(0.5f)}, 4);
  EXPECT_EQ(r.experts, (std::vector<int32_t>{1, 2}));
  EXPECT_FLOAT_EQ(r.weights[0], 0.75f);
  EXPECT_FLOAT_EQ(r.weights[1], 0.25f);
  EXPECT_EQ(r.dropped[0] + r.rerouted[0], 0);
}

TEST(Routing, TiesGoToTheLowestExpert) {
  EXPECT_EQ(RouteAll({}, 2, {1.0f, 2.0f, 2.0f, 2.0f}, 4).experts, (std::vector<int32_t>{1, 2}));
}

TEST(Routing, UnusedPlacesAreEmpty) {
  const Routed r = RouteAll({}, 1, {1.0f, 2.0f}, 2, /*stride=*/3);
  EXPECT_EQ(r.experts, (std::vector<int32_t>{1, -1, -1}));
  EXPECT_EQ(r.weights[1], 0.0f);
}

TEST(Routing, OnlyTheFirstExpertsMayBeChosen) {
  RoutingPolicy policy;
  policy.num_experts = 2;
  EXPECT_EQ(RouteAll(policy, 2, {1.0f, 2.0f, 9.0f, 9.0f}, 4).experts, (std::vector<int32_t>{1, 0}));
}

TEST(Routing, SwitchWeighsByTheFullSoftmaxAndDropsOverCapacity) {
  RoutingPolicy policy;
  policy.strategy = FindRoutingStrategy("switch");  // factor 1: ceil(1 * 3 / 2) = 2 tokens an expert
  const float l3 = std::log(3.0f);
  const Routed r = RouteAll(policy, 4, {l3, 0.0f, l3, 0.0f, l3, 0.0f}, 2);
  EXPECT_EQ(r.experts, (std::vector<int32_t>{0, 0, -1}));
  EXPECT_FLOAT_EQ(r.weights[0], 0.75f);
  EXPECT_EQ(r.weights[2], 0.0f);
  EXPECT_EQ(r.dropped, (std::vector<uint8_t>{0, 0, 1}));
}

TEST(Routing, Expert1IgnoresCapacity) {
  RoutingPolicy policy;
  policy.strategy = FindRoutingStrategy("expert1");
  policy.capacity_factor = 0.01;
  const Routed r = RouteAll(policy, 4, {3.0f, 0.0f, 3.0f, 0.0f}, 2);
  EXPECT_EQ(r.experts, (std::vector<int32_t>{0, 0}));
  EXPECT_EQ(r.weights, (std::vector<float>{1.0f, 1.0f}));
}

TEST(Routing, TopKWithCapacityReroutesThenDrops) {
  RoutingPolicy policy;
  policy.capacity_factor = 1.0;  // ceil(3 * 2 / 3) = 2 choices an expert
  const std::vector<float> logits = {3.0f, 2.0f, 1.0f, 3.0f, 2.0f, 1.0f, 3.0f, 2.0f, 1.0f};
  const Routed r = RouteAll(policy, 2, logits, 3);
  // The first two tokens fill experts 0 and 1; the third finds room only in expert 2, for one of its two
  // choices.
  EXPECT_EQ(r.experts, (std::vector<int32_t>{0, 1, 0, 1, 2, -1}));
  EXPECT_EQ(r.dropped, (std::vector<uint8_t>{0, 0, 1}));
  EXPECT_EQ(r.rerouted, (std::vector<uint8_t>{0, 0, 1}));
  EXPECT_FLOAT_EQ(r.weights[4], 1.0f);
}

TEST(Routing, StatsCountWhatWasServed) {
  RoutingPolicy policy;
  policy.capacity_factor = 1.0;
  Routed r = RouteAll(policy, 2, {3.0f, 2.0f, 1.0f, 3.0f, 2.0f, 1.0f, 3.0f, 2.0f, 1.0f}, 3);
  RoutingStats stats(2, 3);
  stats.Add(RoutingPhase::kDecode, 1, r.rows());
  EXPECT_EQ(stats.layers()[1].counts, (std::vector<int64_t>{2, 2, 1}));
  EXPECT_EQ(stats.layers()[1].dropped, 1);
  EXPECT_EQ(stats.layers()[1].rerouted, 1);
  EXPECT_EQ(stats.layers()[0].counts, (std::vector<int64_t>{0, 0, 0}));
}

TEST(Routing, StrategiesAreFoundByName) {
  EXPECT_EQ(RoutingStrategies().front(), RoutingPolicy{}.strategy);
  for (const RoutingStrategy* strategy : RoutingStrategies())
    EXPECT_EQ(FindRoutingStrategy(strategy->name()), strategy);
  EXPECT_EQ(FindRoutingStrategy("random"), nullptr);
}

// What a rule says about itself, held against what it does: a row routed alone and among others that crowd
// it.
TEST(Routing, OnlyRulesThatSaySoDependOnTheirStep) {
  std::vector<float> crowd;
  for (int t = 0; t < 8; ++t) crowd.insert(crowd.end(), {4.0f, 3.0f, 2.0f, 1.0f});
  const std::vector<float> alone(crowd.end() - 4, crowd.end());
  for (const RoutingStrategy* strategy : RoutingStrategies()) {
    for (const bool capacity : {false, true}) {
      RoutingPolicy policy;
      policy.strategy = strategy;
      if (capacity) policy.capacity_factor = 1.0;
      const Routed together = RouteAll(policy, 2, crowd, 4), single = RouteAll(policy, 2, alone, 4);
      const std::vector<int32_t> last(together.experts.end() - together.stride, together.experts.end());
      EXPECT_EQ(last != single.experts, strategy->DependsOnStep(policy)) << strategy->name() << capacity;
      EXPECT_TRUE(strategy->uses_capacity() || !strategy->DependsOnStep(policy)) << strategy->name();
    }
  }
}

}  // namespace
}  // namespace oxidized
