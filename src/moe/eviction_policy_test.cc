#include "moe/eviction_policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

namespace oxidized {
namespace {

// Brings an expert in the way the store does: use, then residency if it was absent.
void Touch(EvictionPolicy& policy, ExpertId id) {
  policy.OnAccess(id);
  if (!policy.resident(id)) policy.OnInsert(id);
}

std::vector<int32_t> EvictAll(EvictionPolicy& policy) {
  std::vector<int32_t> order;
  while (const auto victim = policy.Evict()) order.push_back(victim->expert);
  return order;
}

TEST(EvictionPolicy, LruEvictsTheLongestUnused) {
  const auto policy = MakeEvictionPolicy(EvictionRule::kLru, 1, 4);
  for (const int32_t e : {0, 1, 2, 3, 0, 2}) Touch(*policy, {0, e});
  EXPECT_EQ(EvictAll(*policy), (std::vector<int32_t>{1, 3, 0, 2}));
  EXPECT_EQ(policy->num_resident(), 0);
}

TEST(EvictionPolicy, FrequencyKeepsThePopularOverTheRecent) {
  const auto policy = MakeFrequencyPolicy(1, 4, /*half_life=*/100.0);
  for (const int32_t e : {0, 0, 0, 1, 1, 2}) Touch(*policy, {0, e});
  EXPECT_EQ(EvictAll(*policy), (std::vector<int32_t>{2, 1, 0}));
}

TEST(EvictionPolicy, FrequencyForgetsWhatWasPopularLongAgo) {
  const auto policy = MakeFrequencyPolicy(1, 4, /*half_life=*/1.0);  // four uses
  for (int i = 0; i < 100; ++i) Touch(*policy, {0, 0});
  for (int i = 0; i < 40; ++i) Touch(*policy, {0, 1 + i % 2});
  EXPECT_EQ(policy->Evict()->expert, 0);
}

TEST(EvictionPolicy, FrequencyKnowsAnExpertThatReturns) {
  const auto policy = MakeFrequencyPolicy(1, 4, 100.0);
  for (const int32_t e : {0, 0, 0, 0, 1, 1}) Touch(*policy, {0, e});
  policy->OnRemove({0, 0});
  policy->OnInsert({0, 0});  // a prefetch: no use
  EXPECT_EQ(policy->Evict()->expert, 1);
}

TEST(EvictionPolicy, LfuDaAgesByItsVictims) {
  const auto policy = MakeEvictionPolicy(EvictionRule::kLfuDa, 1, 4);
  for (int i = 0; i < 3; ++i) Touch(*policy, {0, 0});  // priority 3
  // Each newcomer begins one above the last victim: 1, 2, then 3, which ties with expert 0; the older goes.
  for (const auto& [newcomer, victim] : {std::pair(1, 1), std::pair(2, 2), std::pair(3, 0)}) {
    Touch(*policy, {0, newcomer});
    EXPECT_EQ(policy->Evict()->expert, victim);
  }
}

TEST(EvictionPolicy, PinnedExpertsStay) {
  for (const EvictionRuleInfo& rule : EvictionRules()) {
    const auto policy = MakeEvictionPolicy(rule.rule, 2, 2);
    policy->Pin({0, 0});  // before it is resident
    for (const ExpertId id : {ExpertId{0, 0}, ExpertId{0, 1}, ExpertId{1, 1}}) Touch(*policy, id);
    policy->Pin({1, 1});
    policy->Pin({1, 1});
    EXPECT_EQ(policy->Evict(), (ExpertId{0, 1})) << rule.name;
    EXPECT_EQ(policy->Evict(), std::nullopt) << rule.name;
    policy->Unpin({1, 1});
    EXPECT_EQ(policy->Evict(), std::nullopt) << rule.name;
    policy->Unpin({1, 1});
    EXPECT_EQ(policy->Evict(), (ExpertId{1, 1})) << rule.name;
    EXPECT_TRUE(policy->resident({0, 0}));
  }
}

// The heap against the definition: the lowest priority among unpinned residents, found by looking at all of
// them.
TEST(EvictionPolicy, VictimsAreThoseOfASearchThroughAll) {
  constexpr int32_t kLayers = 3, kExperts = 16;
  const auto policy = MakeEvictionPolicy(EvictionRule::kLru, kLayers, kExperts);
  std::map<std::pair<int32_t, int32_t>, int64_t> last_use;  // of resident experts
  std::map<std::pair<int32_t, int32_t>, int> pins;
  std::mt19937 random(7);
  for (int64_t step = 1; step < 20000; ++step) {
    const ExpertId id{static_cast<int32_t>(random() % kLayers), static_cast<int32_t>(random() % kExperts)};
    const std::pair key(id.layer, id.expert);
    switch (random() % 8) {
      case 0:
        policy->Pin(id);
        ++pins[key];
        break;
      case 1:
        if (pins[key] == 0) break;
        policy->Unpin(id);
        --pins[key];
        break;
      case 2:
      case 3: {
        const auto victim = policy->Evict();
        auto expected = last_use.end();
        for (auto it = last_use.begin(); it != last_use.end(); ++it) {
          if (pins[it->first] == 0 && (expected == last_use.end() || it->second < expected->second))
            expected = it;
        }
        ASSERT_EQ(victim.has_value(), expected != last_use.end());
        if (!victim) break;
        ASSERT_EQ(std::pair(victim->layer, victim->expert), expected->first) << step;
        last_use.erase(expected);
        break;
      }
      default:
        Touch(*policy, id);
        last_use[key] = step;
    }
    ASSERT_EQ(policy->num_resident(), static_cast<int64_t>(last_use.size()));
  }
}

TEST(EvictionPolicy, Names) {
  for (const EvictionRuleInfo& rule : EvictionRules()) {
    EXPECT_EQ(ParseEvictionRule(rule.name), rule.rule);
    EXPECT_STREQ(Name(rule.rule), rule.name);
    EXPECT_STREQ(MakeEvictionPolicy(rule.rule, 1, 1)->name(), rule.name);
  }
  EXPECT_EQ(ParseEvictionRule("belady"), std::nullopt);  // needs the future: simulation only
}

}  // namespace
}  // namespace oxidized
