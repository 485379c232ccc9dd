// The arithmetic of sampling against long double, and the CPU's searches and sums against the plainest
// program that follows the definition. Values that are written down here are the definition: they hold on
// every architecture, and change only when the definition does.
#include "sampling/sampling_math.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "sampling/sampler.h"

namespace oxidized {
namespace {

using namespace sampling_math;

constexpr float kLargest = std::numeric_limits<float>::max();
constexpr float kSmallest = std::numeric_limits<float>::denorm_min();

// Values without a library's distribution: the same on every system.
std::vector<float> Logits(size_t size, float scale, uint64_t seed) {
  std::vector<float> logits(size);
  for (size_t i = 0; i < size; ++i) {
    const auto bits = RandomBits(seed, 7, i);
    float sum = -2.0f;  // four uniform numbers: near enough to normal
    for (const uint32_t word : bits) sum += static_cast<float>(word >> 8) * 0x1p-24f;
    logits[i] = sum * scale;
  }
  return logits;
}

// The definition, word for word: rank, cut, draw in the order of ids. [V] masses of what may be drawn.
std::vector<uint64_t> KeptMasses(std::vector<float> values, const SamplingNumbers& numbers,
                                 const TokenMask* mask = nullptr, const TokenHistory* history = nullptr) {
  std::vector<uint64_t> ranks;
  float highest = 0.0f;
  int32_t top = std::numeric_limits<int32_t>::min();
  for (size_t i = 0; i < values.size(); ++i) {
    const auto token = static_cast<int32_t>(i);
    if (history != nullptr) values[i] = Penalized(values[i], history->counts()[i], numbers);
    if (mask != nullptr && !mask->allows(token)) continue;
    ranks.push_back(TokenRank(values[i], token));
    if (ValueOrder(values[i]) > top) highest = values[i];
    top = std::max(top, ValueOrder(values[i]));
  }
  std::sort(ranks.begin(), ranks.end(), std::greater<>());
  if (numbers.top_k > 0 && static_cast<size_t>(numbers.top_k) < ranks.size())
    ranks.resize(static_cast<size_t>(numbers.top_k));
  const auto weight = [&](uint64_t rank) {
    return Weight(values[static_cast<size_t>(TokenOfRank(rank))], highest, numbers.inverse_temperature);
  };
  uint64_t mass = 0, reached = 0;
  for (const uint64_t rank : ranks) mass += Mass(weight(rank));
  const uint64_t target = TopPTarget(mass, numbers.top_p);
  std::vector<uint64_t> kept(values.size(), 0);
  for (const uint64_t rank : ranks) {
    if (reached >= target) break;
    reached += Mass(weight(rank));
    if (weight(rank) >= numbers.min_p) kept[static_cast<size_t>(TokenOfRank(rank))] = Mass(weight(rank));
  }
  return kept;
}

int32_t PlainDraw(const std::vector<uint64_t>& kept, uint64_t seed, int64_t position) {
  uint64_t point = DrawPoint(seed, position, std::accumulate(kept.begin(), kept.end(), uint64_t{0}));
  for (size_t i = 0; i < kept.size(); ++i) {
    if (point < kept[i]) return static_cast<int32_t>(i);
    point -= kept[i];
  }
  return -1;
}

std::vector<SamplingParams> Rules() {
  std::vector<SamplingParams> rules;
  for (const double temperature : {1.0, 0.7, 1e-6, 100.0, 1e-300, 1e300}) {
    for (const int32_t top_k : {0, 1, 40, 900}) {
      for (const double top_p : {1.0, 0.9, 0.3, 1e-6, 1e-12}) {
        for (const double min_p : {0.0, 0.05, 1.0}) {
          SamplingParams params;
          params.temperature = temperature;
          params.top_k = top_k;
          params.top_p = top_p;
          params.min_p = min_p;
          rules.push_back(params);
        }
      }
    }
  }
  return rules;
}

TEST(SamplingMath, ExponentialsAreCloseAndMonotone) {
  EXPECT_EQ(ExpOfNegative(0.0f), 1.0f);
  EXPECT_EQ(ExpOfNegative(-0.0f), 1.0f);
  EXPECT_EQ(Mass(ExpOfNegative(-std::numeric_limits<float>::infinity())), 0u);
  float before = 0.0f;
  for (uint32_t bits = Bits(32.0f); bits > Bits(0x1p-40f); bits -= 509) {
    const float z = FromBits(bits | kSign), exp = ExpOfNegative(z);
    const long double exact = std::exp(static_cast<long double>(z));
    ASSERT_LE(std::abs(exp - exact), 0x1p-23L * exact) << z;
    ASSERT_GE(exp, before) << z;
    ASSERT_LE(exp, 1.0f) << z;
    before = exp;
  }
}

TEST(SamplingMath, MassesAreWholeParts) {
  EXPECT_EQ(Mass(1.0f), uint64_t{1} << kMassBits);
  EXPECT_EQ(Mass(0.0f), 0u);
  EXPECT_EQ(Mass(0x1p-80f), 0u);  // where a processor would shift by the rest of 64
  EXPECT_EQ(Mass(0x1p-39f), 1u);
  EXPECT_EQ(Mass(0x1.fffffep-40f), 0u);
  EXPECT_EQ(Mass(0x1.8p-38f), 3u);
  for (float w = 1.0f; w > 0x1p-42f; w *= 0.9871f)
    ASSERT_EQ(Mass(w), static_cast<uint64_t>(std::ldexp(static_cast<double>(w), kMassBits))) << w;
}

// 2^24 equal tokens, the largest vocabulary: the sum is 2^63, and neither it nor a draw of it overflows.
TEST(SamplingMath, TheLargestVocabularyFits) {
  const uint64_t sum = Mass(1.0f) << 24;
  EXPECT_EQ(sum, uint64_t{1} << 63);
  EXPECT_EQ(TopPTarget(sum, uint64_t{1} << 32), sum);
  EXPECT_EQ(TopPTarget(sum, uint64_t{1} << 31), sum / 2);
  EXPECT_NEAR(LogOfMass(sum), 24 * std::log(2.0), 1e-6);
  for (int64_t position = 0; position < 100; ++position) EXPECT_LT(DrawPoint(1, position, sum), sum);
  std::vector<float> logits(size_t{1} << 20, -3.5f);
  Sampler sampler;
  SampledToken out;
  std::vector<int> parts(4, 0);
  for (int position = 0; position < 200; ++position) {
    sampler.Sample(logits, SamplingParams{}, nullptr, nullptr, position, 0, -1, out);
    ++parts[static_cast<size_t>(out.token >> 18)];
    EXPECT_NEAR(out.logprob, -20 * std::log(2.0), 1e-5);
  }
  for (const int part : parts) EXPECT_NEAR(part, 50, 30);  // five standard deviations
}

#ifdef __SIZEOF_INT128__
TEST(SamplingMath, ProductsInPartsAreThoseOf128Bits) {
  __extension__ using Wide = unsigned __int128;
  for (uint64_t i = 0; i < 2000; ++i) {
    const auto bits = RandomBits(3, 1, i);
    const uint64_t a = ((uint64_t{bits[0]} << 32) | bits[1]) >> (i % 64);
    const uint64_t b = ((uint64_t{bits[2]} << 32) | bits[3]) >> (i / 64 % 64);
    ASSERT_EQ(MultiplyHigh(a, b), static_cast<uint64_t>(Wide{a} * b >> 64));
    const uint64_t mass = a >> 1, top_p = b >> 32;
    const Wide product = Wide{mass} * top_p;
    const auto exact = static_cast<uint64_t>((product + 0xffffffffu) >> 32);
    ASSERT_EQ(TopPTarget(mass, top_p), std::max<uint64_t>(exact, 1));
  }
}
#endif

TEST(SamplingMath, RanksOrderByValueThenId) {
  const std::vector<float> ascending = {
      -std::numeric_limits<float>::infinity(), -kLargest, -1.0f, -kSmallest, 0.0f, kSmallest, 1.0f, kLargest};
  for (size_t i = 0; i + 1 < ascending.size(); ++i)
    EXPECT_LT(TokenRank(ascending[i], 0), TokenRank(ascending[i + 1], 1000000)) << ascending[i];
  EXPECT_GT(TokenRank(1.0f, 4), TokenRank(1.0f, 5));
  EXPECT_GT(TokenRank(-0.0f, 4), TokenRank(0.0f, 5));
  EXPECT_GT(TokenRank(0.0f, 4), TokenRank(-0.0f, 5));
  for (const int32_t token : {0, 1, 201087, (1 << 24) - 1})
    EXPECT_EQ(TokenOfRank(TokenRank(-3.0f, token)), token);
}

TEST(SamplingMath, LogarithmsAreClose) {
  EXPECT_EQ(LogOfMass(uint64_t{1} << kMassBits), 0.0f);
  for (int exponent = kMassBits; exponent <= 62; ++exponent) {
    for (int i = 0; i < 999; ++i) {
      const uint64_t mass =
          (uint64_t{1} << exponent) + (uint64_t{1} << exponent) / 1000 * static_cast<uint64_t>(i);
      const double exact = std::log(std::ldexp(static_cast<double>(mass), -kMassBits));
      ASSERT_NEAR(LogOfMass(mass), exact, 0x1p-23 * (1 + exact)) << mass;
    }
  }
}

// A penalty's steps in their order, with what overflows and what is too small in between.
TEST(SamplingMath, PenaltiesStayFinite) {
  SamplingParams params;
  params.repetition_penalty = 2.0;
  params.presence_penalty = 0.5;
  params.frequency_penalty = 0.25;
  const SamplingNumbers numbers = SamplingNumbersOf(params);
  EXPECT_EQ(Penalized(3.0f, 0, numbers), 3.0f);
  EXPECT_EQ(Penalized(3.0f, 2, numbers), 0.5f);     // 3 / 2 - (0.5 + 0.5)
  EXPECT_EQ(Penalized(-3.0f, 1, numbers), -6.75f);  // -3 * 2 - (0.5 + 0.25)
  EXPECT_EQ(Penalized(kSmallest, 1, numbers), -0.75f);
  for (const double huge : {1e300, -1e300, 1e38, -1e38}) {
    params.presence_penalty = huge;
    params.frequency_penalty = -huge;
    params.repetition_penalty = std::abs(huge);
    for (const float logit : {kLargest, -kLargest, 0.0f, 1.0f, kSmallest})
      EXPECT_TRUE(IsFinite(Penalized(logit, 100, SamplingNumbersOf(params)))) << huge << " " << logit;
  }
  params = {};
  params.presence_penalty = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(IsFinite(Penalized(1.0f, 1, SamplingNumbersOf(params))));
}

// Chi-square over many draws against softmax in long double, tokens expected fewer than ten times together.
// The bound is the mean of the statistic and six of its standard deviations: n + 6 sqrt(2n). Weights are
// within (1 + |z|) * 2^-22 of the exact ones, a part in 10^5 at most, which adds N * 10^-10 to it: nothing.
TEST(SamplingMath, DrawsFollowTheDistribution) {
  constexpr int kDraws = 60000;
  const std::vector<float> logits = Logits(300, 4.0f, 1);
  for (const double temperature : {1.0, 0.7, 2.5}) {
    for (const double min_p : {0.0, 0.02}) {
      for (const int32_t top_k : {0, 50}) {
        SamplingParams params;
        params.temperature = temperature;
        params.min_p = min_p;
        params.top_k = top_k;
        params.seed = 17;
        const float highest = *std::max_element(logits.begin(), logits.end());
        std::vector<long double> expected(logits.size());
        std::vector<float> sorted = logits;
        std::sort(sorted.begin(), sorted.end(), std::greater<>());
        long double sum = 0.0L;
        for (size_t i = 0; i < logits.size(); ++i) {
          expected[i] = std::exp((static_cast<long double>(logits[i]) - highest) / temperature);
          if (expected[i] < min_p || (top_k > 0 && logits[i] < sorted[static_cast<size_t>(top_k) - 1]))
            expected[i] = 0;
          sum += expected[i];
        }
        std::vector<int> drawn(logits.size(), 0);
        Sampler sampler;
        SampledToken out;
        for (int i = 0; i < kDraws; ++i) {
          sampler.Sample(logits, params, nullptr, nullptr, i, -1, -1, out);
          ++drawn[static_cast<size_t>(out.token)];
        }
        long double statistic = 0.0L, rare = 0.0L;
        int cells = 0, rarely = 0;
        for (size_t i = 0; i < logits.size(); ++i) {
          const long double count = expected[i] / sum * kDraws;
          if (count == 0) {
            ASSERT_EQ(drawn[i], 0) << i;
          } else if (count < 10) {
            rare += count;
            rarely += drawn[i];
          } else {
            statistic += (drawn[i] - count) * (drawn[i] - count) / count;
            ++cells;
          }
        }
        if (rare > 0) {
          statistic += (rarely - rare) * (rarely - rare) / std::max(rare, 10.0L);
          ++cells;
        }
        const double freedom = cells - 1;
        EXPECT_LT(static_cast<double>(statistic), freedom + 6 * std::sqrt(2 * freedom))
            << temperature << " " << min_p << " " << top_k;
      }
    }
  }
}

// The CPU's blocks, bounds and halvings find what the definition says, under every rule.
TEST(SamplingMath, TheSamplerFollowsTheDefinition) {
  std::vector<std::vector<float>> rows = {
      Logits(3000, 5.0f, 2), Logits(1025, 0.01f, 3), {3.0f}, std::vector<float>(600, -7.25f)};
  std::vector<float> ties = Logits(2000, 3.0f, 4);
  for (float& logit : ties) logit = std::round(logit * 2) / 2;  // -0 among them
  rows.push_back(ties);
  std::vector<float> extremes = {-kLargest, kLargest, kLargest, 0.0f, -0.0f, kSmallest, -kSmallest, 1e30f};
  rows.push_back(extremes);
  rows.push_back({0.0f, -0.0f, kSmallest, -kSmallest, 2 * kSmallest, 0x1p-126f, 0x1.8p-126f});
  rows.push_back(std::vector<float>(300, kLargest));
  Sampler sampler;
  SampledToken out;
  for (size_t r = 0; r < rows.size(); ++r) {
    const auto size = static_cast<int32_t>(rows[r].size());
    TokenMask mask(size, true);
    TokenHistory history;
    history.Reset(size, {});
    for (int32_t i = 0; i < size; ++i) {
      if (i % 3 == 1) mask.Set(i, false);
      for (int32_t n = 0; n < i % 5; ++n) history.Add(i);
    }
    for (SamplingParams params : Rules()) {
      for (const bool restricted : {false, true}) {
        params.seed = r;
        if (restricted) {
          params.repetition_penalty = 1.3;
          params.presence_penalty = 0.4;
          params.frequency_penalty = 0.1;
        }
        const TokenMask* with_mask = restricted ? &mask : nullptr;
        const TokenHistory* with_history = restricted ? &history : nullptr;
        const auto kept = KeptMasses(rows[r], SamplingNumbersOf(params), with_mask, with_history);
        for (int64_t position = 0; position < 3; ++position) {
          sampler.Sample(rows[r], params, with_mask, with_history, position, -1, -1, out);
          ASSERT_EQ(out.token, PlainDraw(kept, params.seed, position))
              << "row " << r << " temperature " << params.temperature << " top_k " << params.top_k
              << " top_p " << params.top_p << " min_p " << params.min_p << " restricted " << restricted;
        }
      }
    }
  }
}

// Sums of masses have no order: any split into parts, in any order, gives the same total, target and draw.
TEST(SamplingMath, PartialSumsAreExactInAnyOrder) {
  const std::vector<float> logits = Logits(201088, 3.0f, 5);
  const float highest = *std::max_element(logits.begin(), logits.end());
  std::vector<uint64_t> masses(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) masses[i] = Mass(Weight(logits[i], highest, 1.25f));
  const uint64_t sum = std::accumulate(masses.begin(), masses.end(), uint64_t{0});
  std::mt19937 random(1);
  for (int round = 0; round < 5; ++round) {
    std::shuffle(masses.begin(), masses.end(), random);
    std::vector<uint64_t> parts;
    for (size_t i = 0; i < masses.size();) {
      const size_t end = std::min(masses.size(), i + 1 + random() % 3000);
      parts.push_back(std::accumulate(masses.begin() + static_cast<ptrdiff_t>(i),
                                      masses.begin() + static_cast<ptrdiff_t>(end), uint64_t{0}));
      i = end;
    }
    std::shuffle(parts.begin(), parts.end(), random);
    EXPECT_EQ(std::accumulate(parts.begin(), parts.end(), uint64_t{0}), sum);
  }
}

// Against long double: |z| in f32 errs by 2^-24 of itself and so does each weight, the sum's logarithm by its
// rounding and what masses cut off; 2^-22 * (2 + log of the sum + |logprob|) + V * 2^-39 covers them.
TEST(SamplingMath, LogProbabilitiesAreClose) {
  for (const float scale : {0.0f, 1.0f, 6.0f, 40.0f, 1000.0f}) {
    const std::vector<float> logits = Logits(20000, scale, 6);
    const float highest = *std::max_element(logits.begin(), logits.end());
    long double sum = 0.0L;
    for (const float logit : logits) sum += std::exp(static_cast<long double>(logit) - highest);
    SamplingParams greedy{.temperature = 0.0};
    Sampler sampler;
    SampledToken out;
    for (int32_t score = 0; score < 50; ++score) {
      sampler.Sample(logits, greedy, nullptr, nullptr, 0, 0, score, out);
      const long double exact =
          static_cast<long double>(logits[static_cast<size_t>(score)]) - highest - std::log(sum);
      const double bound = 0x1p-22 * static_cast<double>(2 + std::log(sum) - exact) + 20000 * 0x1p-39;
      EXPECT_NEAR(out.score, static_cast<double>(exact), bound) << scale;
    }
  }
  const std::vector<float> far = {kLargest, -kLargest};
  Sampler sampler;
  SampledToken out;
  sampler.Sample(far, SamplingParams{}, nullptr, nullptr, 0, 2, 1, out);
  EXPECT_EQ(out.logprob, 0.0f);
  EXPECT_EQ(out.score, -kLargest);
}

// The definition in numbers. These change only with it, and with it every seeded text does.
TEST(SamplingMath, TheDefinitionIsThis) {
  uint64_t digest = 0;
  for (uint32_t bits = 0; bits < Bits(34.0f); bits += 104729)
    digest = digest * 0x9E3779B97F4A7C15u + Bits(ExpOfNegative(FromBits(bits | kSign)));
  EXPECT_EQ(digest, 0x2cca99ed0adf767au);
  digest = 0;
  for (uint64_t mass = uint64_t{1} << kMassBits; mass < uint64_t{1} << 62; mass += mass / 37)
    digest = digest * 0x9E3779B97F4A7C15u + Bits(LogOfMass(mass));
  EXPECT_EQ(digest, 0xf89f28ba0dad9740u);
  digest = 0;
  SamplingParams params;
  params.repetition_penalty = 1.3;
  params.presence_penalty = 0.7;
  params.frequency_penalty = 0.11;
  for (int32_t i = 0; i < 2000; ++i) {
    const float logit = static_cast<float>(i - 1000) * 0.0371f;
    digest = digest * 0x9E3779B97F4A7C15u + Bits(Penalized(logit, i % 7, SamplingNumbersOf(params)));
  }
  EXPECT_EQ(digest, 0xbc0b3501c9725156u);

  const std::vector<float> logits = Logits(201088, 4.0f, 8);
  struct {
    double temperature, top_p;
    int32_t top_k;
    double min_p;
    std::vector<int32_t> tokens;
  } cases[] = {{0.0, 1.0, 0, 0.0, {77301, 77301, 77301, 77301, 77301, 77301}},
               {1.0, 1.0, 0, 0.0, {63564, 109383, 183751, 96326, 147971, 91313}},
               {0.2, 1.0, 0, 0.0, {77301, 96326, 169384, 84740, 137073, 83567}},
               {0.7, 0.9, 0, 0.0, {63322, 110571, 184021, 96486, 148677, 90925}},
               {1.0, 0.4, 0, 0.0, {61445, 109709, 184021, 95395, 147971, 89805}},
               {0.7, 1.0, 40, 0.0, {77301, 116840, 169276, 87439, 134188, 86283}},
               {0.7, 1.0, 0, 0.05, {61382, 111922, 184117, 96326, 148988, 89805}},
               {0.5, 0.8, 1000, 0.1, {72163, 122118, 184144, 100660, 149133, 89953}}};
  Sampler sampler;
  SampledToken out;
  for (const auto& c : cases) {
    std::vector<int32_t> tokens;
    for (uint64_t seed = 0; seed < 6; ++seed) {
      const SamplingParams drawn{
          .temperature = c.temperature, .top_k = c.top_k, .top_p = c.top_p, .min_p = c.min_p, .seed = seed};
      sampler.Sample(logits, drawn, nullptr, nullptr, static_cast<int64_t>(100 + seed), -1, -1, out);
      tokens.push_back(out.token);
    }
    EXPECT_EQ(tokens, c.tokens) << c.temperature << " " << c.top_p << " " << c.top_k << " " << c.min_p;
  }
}

}  // namespace
}  // namespace oxidized
