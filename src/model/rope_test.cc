#include "model/rope.h"

#include <gtest/gtest.h>

#include <cmath>

namespace oxidized {
namespace {

TEST(Rope, GptOssFrequenciesAreUntruncatedYarn) {
  const RopeFrequencies f = ComputeRopeFrequencies(RopeConfig{}, 64);
  ASSERT_EQ(f.inv_freq.size(), 32u);
  EXPECT_FLOAT_EQ(f.concentration, 1.3465735902799727f);
  // Values of the published rule, evaluated in f64 (docs/numerics.md); 9..17 are where truncation would
  // differ.
  EXPECT_FLOAT_EQ(f.inv_freq[0], 1.0f);
  EXPECT_FLOAT_EQ(f.inv_freq[8], 0.0508132748f);
  EXPECT_FLOAT_EQ(f.inv_freq[9], 0.0317056962f);
  EXPECT_FLOAT_EQ(f.inv_freq[13], 0.00386035932f);
  EXPECT_FLOAT_EQ(f.inv_freq[17], 0.000129318701f);
  EXPECT_FLOAT_EQ(f.inv_freq[18], 3.83088124e-05f);
  EXPECT_FLOAT_EQ(f.inv_freq[31], 3.02351143e-07f);
}

TEST(Rope, TruncationRoundsTheRampOutwards) {
  RopeConfig rope;
  rope.truncate = true;
  const RopeFrequencies f = ComputeRopeFrequencies(rope, 64);
  EXPECT_FLOAT_EQ(f.inv_freq[9], 0.0316207523f);
  EXPECT_FLOAT_EQ(f.inv_freq[17], 0.000227947796f);
}

TEST(Rope, FactorOneIsPlainRope) {
  RopeConfig rope;
  rope.factor = 1.0;
  rope.theta = 10000.0;
  const RopeFrequencies f = ComputeRopeFrequencies(rope, 8);
  EXPECT_FLOAT_EQ(f.concentration, 1.0f);
  EXPECT_FLOAT_EQ(f.inv_freq[1], 0.1f);
}

TEST(Rope, AnglesStayAccurateAtTheEndOfTheContext) {
  const RopeFrequencies f = ComputeRopeFrequencies(RopeConfig{}, 64);
  float c[32], s[32];
  RopeCosSin(f, 131071, c, s);
  EXPECT_NEAR(c[0] / f.concentration, std::cos(131071.0), 1e-6);
  EXPECT_NEAR(s[0] / f.concentration, std::sin(131071.0), 1e-6);
}

}  // namespace
}  // namespace oxidized
