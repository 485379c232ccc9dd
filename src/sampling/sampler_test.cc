#include "sampling/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <tuple>

namespace oxidized {
namespace {

SampledToken Sample(const std::vector<float>& logits, const SamplingParams& params, int64_t position = 0,
                    const TokenMask* mask = nullptr, const TokenHistory* history = nullptr, int32_t top = 0,
                    int32_t score = -1) {
  Sampler sampler;
  SampledToken out;
  sampler.Sample(logits, params, mask, history, position, top, score, out);
  return out;
}

SamplingParams Greedy() {
  SamplingParams params;
  params.temperature = 0.0;
  return params;
}

std::map<int32_t, double> Frequencies(const std::vector<float>& logits, SamplingParams params,
                                      int draws = 20000) {
  std::map<int32_t, double> shares;
  Sampler sampler;
  SampledToken out;
  for (int i = 0; i < draws; ++i) {
    sampler.Sample(logits, params, nullptr, nullptr, i, 0, -1, out);
    shares[out.token] += 1.0 / draws;
  }
  return shares;
}

TEST(Sampler, GreedyTakesTheLowestIdOnTies) {
  EXPECT_EQ(Sample({1.0f, 3.0f, 3.0f, -1.0f}, Greedy()).token, 1);
}

TEST(Sampler, LogprobsAreOfTheRawLogits) {
  SamplingParams params = Greedy();
  params.temperature = 0.0;
  const SampledToken out = Sample({0.0f, std::log(3.0f)}, params, 0, nullptr, nullptr, 2, 0);
  EXPECT_NEAR(out.logprob, std::log(0.75), 1e-6);
  EXPECT_NEAR(out.score, std::log(0.25), 1e-6);
  ASSERT_EQ(out.top.size(), 2u);
  EXPECT_EQ(out.top[0].token, 1);
  EXPECT_EQ(out.top[1].token, 0);
}

TEST(Sampler, LogprobsAreComputedOnlyWhenWanted) {
  EXPECT_EQ(Sample({0.0f, 1.0f}, Greedy(), 0, nullptr, nullptr, -1).logprob, 0.0f);
  EXPECT_LT(Sample({0.0f, 1.0f}, Greedy(), 0, nullptr, nullptr, 0).logprob, 0.0f);
}

TEST(Sampler, DrawsFollowTheDistribution) {
  const std::vector<float> logits = {std::log(0.5f), std::log(0.3f), std::log(0.2f)};
  const auto shares = Frequencies(logits, SamplingParams{});
  EXPECT_NEAR(shares.at(0), 0.5, 0.02);
  EXPECT_NEAR(shares.at(1), 0.3, 0.02);
  EXPECT_NEAR(shares.at(2), 0.2, 0.02);
}

TEST(Sampler, TemperatureSharpens) {
  SamplingParams params;
  params.temperature = 0.5;  // squares the odds
  const auto shares = Frequencies({std::log(0.75f), std::log(0.25f)}, params);
  EXPECT_NEAR(shares.at(0), 0.9, 0.02);
}

TEST(Sampler, TopKTopPAndMinPCutTheTail) {
  const std::vector<float> logits = {std::log(0.2f), std::log(0.5f), std::log(0.3f)};
  SamplingParams top_k;
  top_k.top_k = 2;
  EXPECT_EQ(Frequencies(logits, top_k).count(0), 0u);
  EXPECT_NEAR(Frequencies(logits, top_k).at(1), 0.625, 0.02);
  SamplingParams top_p;
  top_p.top_p = 0.6;  // 0.5 does not reach it, 0.5 + 0.3 does
  EXPECT_EQ(Frequencies(logits, top_p).size(), 2u);
  top_p.top_p = 0.4;
  EXPECT_EQ(Frequencies(logits, top_p).size(), 1u);
  SamplingParams min_p;
  min_p.min_p = 0.5;  // of the most likely: keeps 0.5 and 0.3
  EXPECT_EQ(Frequencies(logits, min_p).size(), 2u);
}

TEST(Sampler, TopPAgreesWithAFullSortOnALargeVocabulary) {
  std::vector<float> logits(5000);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>((i * 7919) % 5000) * 1e-3f;
  SamplingParams params;
  params.top_p = 0.5;
  Sampler sampler;
  SampledToken out;
  // e^(x/1000) over 0..4999: the upper half of the mass lies above about 4321.
  for (int i = 0; i < 2000; ++i) {
    sampler.Sample(logits, params, nullptr, nullptr, i, 0, -1, out);
    EXPECT_GT(logits[static_cast<size_t>(out.token)], 4.30f);
  }
}

// Every rule against its plain definition by a full sort, on rows with ties, over many draws.
TEST(Sampler, TruncationAgreesWithItsDefinition) {
  std::vector<float> logits(700);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>((i * 7919) % 350) * 0.03f;
  for (const auto& [top_k, top_p, min_p] :
       {std::tuple{0, 0.9, 0.0}, std::tuple{40, 1.0, 0.0}, std::tuple{60, 0.5, 0.0}, std::tuple{0, 1.0, 0.2},
        std::tuple{100, 0.9, 0.5}, std::tuple{1, 0.1, 1.0}}) {
    SamplingParams params;
    params.top_k = top_k;
    params.top_p = top_p;
    params.min_p = min_p;
    params.temperature = 0.8;
    std::vector<std::pair<double, int32_t>> order;
    for (size_t i = 0; i < logits.size(); ++i) {
      order.emplace_back(-std::exp((static_cast<double>(logits[i]) - 349 * 0.03) / 0.8),
                         static_cast<int32_t>(i));
    }
    std::sort(order.begin(), order.end());
    if (top_k > 0) order.resize(static_cast<size_t>(top_k));
    double mass = 0.0, reached = 0.0;
    for (const auto& [weight, token] : order) mass -= weight;
    std::map<int32_t, double> expected;
    double kept = 0.0;
    for (const auto& [weight, token] : order) {
      if (reached >= top_p * mass) break;
      reached -= weight;
      if (-weight >= min_p * 0.9999) expected[token] = -weight;
    }
    for (const auto& [token, weight] : expected) kept += weight;
    const auto shares = Frequencies(logits, params, 30000);
    for (const auto& [token, share] : shares) {
      ASSERT_TRUE(expected.count(token)) << token;
      EXPECT_NEAR(share, expected[token] / kept, 0.015) << token;
    }
  }
}

TEST(Sampler, PenaltiesCountPromptAndAnswer) {
  TokenHistory history;
  history.Reset(3, std::vector<int32_t>{1, 1});
  SamplingParams params = Greedy();
  params.frequency_penalty = 0.6;  // 2.0 - 1.2 < 1.0
  EXPECT_EQ(Sample({1.0f, 2.0f, 0.0f}, params, 0, nullptr, &history).token, 0);
  params = Greedy();
  params.presence_penalty = 0.6;  // 2.0 - 0.6 > 1.0
  EXPECT_EQ(Sample({1.0f, 2.0f, 0.0f}, params, 0, nullptr, &history).token, 1);
  params = Greedy();
  params.repetition_penalty = 3.0;
  EXPECT_EQ(Sample({1.0f, 2.0f, 0.0f}, params, 0, nullptr, &history).token, 0);
  EXPECT_EQ(Sample({-4.0f, -1.0f, -4.0f}, params, 0, nullptr, &history).token,
            1);  // -1 * 3 is still the highest
}

TEST(Sampler, MaskedTokensAreNeverDrawn) {
  TokenMask mask(3, true);
  mask.Set(1, false);
  EXPECT_EQ(Sample({1.0f, 9.0f, 0.0f}, Greedy(), 0, &mask).token, 0);
  EXPECT_FALSE(mask.allows(3));
}

TEST(Sampler, AMaskThatAllowsNothingIsReported) {
  const TokenMask mask(3, false);
  SamplingParams drawn;
  drawn.top_p = 0.9;
  for (const SamplingParams& params : {Greedy(), SamplingParams{}, drawn}) {
    const SampledToken out = Sample({1.0f, 9.0f, 0.0f}, params, 0, &mask, nullptr, 2, 0);
    EXPECT_TRUE(out.finite);
    EXPECT_TRUE(out.empty_mask);
    EXPECT_EQ(out.token, -1);
  }
  EXPECT_TRUE(
      Sample({1.0f, 2.0f, 3.0f}, Greedy(), 0, &static_cast<const TokenMask&>(TokenMask(0, true))).empty_mask);
  EXPECT_FALSE(Sample({1.0f}, Greedy()).empty_mask);
}

// Ids that a mask does not know are not allowed, whatever its last word holds.
TEST(Sampler, AMaskShorterThanTheVocabularyForbidsTheRest) {
  const TokenMask mask(70, true);
  std::vector<float> logits(200, 0.0f);
  logits[69] = 1.0f;
  logits[70] = logits[130] = logits[199] = 9.0f;
  EXPECT_EQ(Sample(logits, Greedy(), 0, &mask).token, 69);
}

TEST(Sampler, SeedAndPositionDetermineTheDraw) {
  std::vector<float> logits(100, 0.0f);
  SamplingParams a, b;
  b.seed = 1;
  int differ_by_seed = 0, differ_by_position = 0;
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(Sample(logits, a, i).token, Sample(logits, a, i).token);
    differ_by_seed += Sample(logits, a, i).token != Sample(logits, b, i).token;
    differ_by_position += Sample(logits, a, i).token != Sample(logits, a, i + 1).token;
  }
  EXPECT_GT(differ_by_seed, 40);
  EXPECT_GT(differ_by_position, 40);
}

TEST(Sampler, NonFiniteLogitsAreReported) {
  EXPECT_FALSE(Sample({0.0f, std::numeric_limits<float>::quiet_NaN()}, Greedy()).finite);
  EXPECT_FALSE(Sample({0.0f, std::numeric_limits<float>::infinity()}, Greedy()).finite);
  EXPECT_FALSE(Sample({0.0f, -std::numeric_limits<float>::infinity()}, Greedy()).finite);
}

}  // namespace
}  // namespace oxidized
