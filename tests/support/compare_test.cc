// The comparator itself, with planted errors: each must be caught, or every comparison made with it is worth
// nothing.
#include "support/compare.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/rng.h"

namespace oxidized::test {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

Matrix Random(int64_t rows, int64_t cols, uint64_t seed) {
  Matrix m{rows, cols, {}};
  for (int64_t i = 0; i < rows * cols; ++i)
    m.values.push_back(static_cast<float>(RandomUniform(seed, 0, static_cast<uint64_t>(i)) - 0.5));
  return m;
}

const Matrix kExpected = Random(7, 33, 1);

TEST(Compare, AcceptsEqualAndNearlyEqual) {
  const Comparison same = Compare(kExpected, kExpected);
  EXPECT_EQ(same.failure, "");
  EXPECT_EQ(same.max_abs_error, 0.0);
  EXPECT_GT(same.range, 0.9);

  Matrix near = kExpected;
  near.row(3)[11] += 5e-5f;
  const Comparison close = Compare(near, kExpected);
  EXPECT_EQ(close.failure, "");
  EXPECT_NEAR(close.max_abs_error, 5e-5, 1e-7);
  EXPECT_EQ(close.worst_row, 3);
  EXPECT_EQ(close.worst_col, 11);
  EXPECT_NEAR(close.relative, close.max_abs_error / close.range, 1e-12);
}

TEST(Compare, CatchesOneWrongElementWhereverItIs) {
  for (size_t i = 0; i < kExpected.values.size(); ++i) {
    Matrix wrong = kExpected;
    wrong.values[i] += 2e-4f;
    const Comparison found = Compare(wrong, kExpected);
    EXPECT_NE(found.failure, "");
    EXPECT_EQ(found.worst_row * kExpected.cols + found.worst_col, static_cast<int64_t>(i));
  }
}

TEST(Compare, CatchesNonFiniteOnEitherSideEvenInTheSamePlace) {
  for (const float bad : {kNan, kInfinity, -kInfinity}) {
    Matrix planted = kExpected;
    planted.values.back() = bad;
    const CompareOptions lax{.tolerance = kInfinity};
    EXPECT_NE(Compare(planted, kExpected, lax).failure, "");
    EXPECT_NE(Compare(kExpected, planted, lax).failure, "");
    EXPECT_NE(Compare(planted, planted, lax).failure, "");
  }
}

TEST(Compare, CatchesSwappedRows) {
  Matrix swapped = kExpected;
  std::swap_ranges(swapped.row(2).begin(), swapped.row(2).end(), swapped.row(5).begin());
  EXPECT_NE(Compare(swapped, kExpected).failure, "");
}

TEST(Compare, CatchesAShiftByOneColumn) {
  Matrix shifted = kExpected;
  std::rotate(shifted.values.begin(), shifted.values.begin() + 1, shifted.values.end());
  EXPECT_NE(Compare(shifted, kExpected).failure, "");
}

TEST(Compare, CatchesAScale) {
  Matrix scaled = kExpected;
  for (float& v : scaled.values) v *= 1.001f;
  EXPECT_NE(Compare(scaled, kExpected).failure, "");
}

TEST(Compare, CatchesRowsLeftPoisoned) {
  Matrix poisoned = kExpected;
  for (int64_t r = 4; r < 7; ++r) std::ranges::fill(poisoned.row(r), kNan);
  EXPECT_NE(Compare(poisoned, kExpected).failure, "");
}

TEST(Compare, CatchesRowsLeftZero) {
  Matrix zero = kExpected;
  std::ranges::fill(zero.row(6), 0.0f);
  EXPECT_NE(Compare(zero, kExpected).failure, "");
}

TEST(Compare, CatchesAnotherShapeOfTheSameSize) {
  Matrix reshaped = kExpected;
  std::swap(reshaped.rows, reshaped.cols);
  EXPECT_NE(Compare(reshaped, kExpected).failure, "");
  EXPECT_NE(Compare(Random(6, 33, 1), kExpected).failure, "");
  EXPECT_NE(Compare(Matrix{7, 33, {}}, kExpected).failure, "");
}

// Zeros compared with zeros: a kernel that never ran would pass.
TEST(Compare, CatchesExpectedValuesThatProveNothing) {
  const Matrix zeros{4, 8, std::vector<float>(32, 0.0f)};
  const Matrix ones{4, 8, std::vector<float>(32, 1.0f)};
  EXPECT_NE(Compare(zeros, zeros).failure, "");
  EXPECT_NE(Compare(ones, ones).failure, "");
  EXPECT_NE(Compare(Matrix{}, Matrix{}).failure, "");

  // The classic: only row 0 of the input was filled.
  Matrix only_first_row = kExpected;
  for (int64_t r = 1; r < 7; ++r) std::ranges::fill(only_first_row.row(r), 0.0f);
  EXPECT_NE(Compare(only_first_row, only_first_row).failure, "");

  const CompareOptions allowed{.allow_constant = true};
  EXPECT_EQ(Compare(zeros, zeros, allowed).failure, "");
  EXPECT_EQ(Compare(only_first_row, only_first_row, allowed).failure, "");
  EXPECT_NE(Compare(ones, zeros, allowed).failure, "");
  EXPECT_NE(Compare(zeros, ones, allowed).failure, "");
}

TEST(Compare, AColumnIsNotARowOfConstants) {
  const Matrix column = Random(9, 1, 3);
  EXPECT_EQ(Compare(column, column).failure, "");
}

TEST(CloseTo, SaysWhatAndWhere) {
  Matrix wrong = kExpected;
  wrong.row(3)[11] += 1.0f;
  const auto result = CloseTo(wrong, kExpected, "query of layer 2");
  EXPECT_FALSE(result);
  EXPECT_NE(std::string(result.message()).find("query of layer 2: value [3, 11] is "), std::string::npos)
      << result.message();
  EXPECT_TRUE(CloseTo(kExpected, kExpected, "itself"));
}

}  // namespace
}  // namespace oxidized::test
