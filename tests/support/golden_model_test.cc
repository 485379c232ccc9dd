// What the golden comparison is built of; the goldens themselves are compared in tests/golden.
#include "support/golden_model.h"

#include <gtest/gtest.h>

#include <cmath>

namespace oxidized::test {
namespace {

TEST(MeanKl, IsThatOfTwoKnownDistributions) {
  // softmax gives (1/2, 1/2) and (3/4, 1/4); adding a constant to a row changes nothing.
  const Matrix expected{2, 2, {5.0f, 5.0f, std::log(3.0f), 0.0f}};
  const Matrix actual{2, 2, {std::log(3.0f) - 2.0f, -2.0f, std::log(3.0f), 0.0f}};
  const double first = 0.5 * std::log(0.5 / 0.75) + 0.5 * std::log(0.5 / 0.25);
  EXPECT_NEAR(MeanKl(expected, actual), first / 2.0, 1e-7);
  EXPECT_EQ(MeanKl(expected, expected), 0.0);
}

TEST(GoldenModel, KeepsWhatEitherTapsOrLogitsNeed) {
  GoldenModel golden;
  golden.tap_rows = {4, 9};
  golden.logit_rows_from = 6;
  EXPECT_EQ(golden.keep_from(), 4);
  golden.prompt.resize(10);
  Matrix kept{6, 1, {4.0f, 5.0f, 6.0f, 7.0f, 8.0f, 9.0f}};  // row of position p holds p
  EXPECT_EQ(GoldenLogitRows(golden, kept).values, (std::vector<float>{6.0f, 7.0f, 8.0f, 9.0f}));
  golden.logit_rows_from = 2;
  EXPECT_EQ(golden.keep_from(), 2);
}

}  // namespace
}  // namespace oxidized::test
