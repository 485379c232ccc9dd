// The one comparator of computed with expected values. It errs on the side of failing: a NaN or an infinity
// on either side, another shape, no values at all, and expected values that could not tell a right result
// from an untouched buffer (a constant array, or a constant row in it) are failures, whatever the tolerance.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "support/matrix.h"

namespace oxidized::test {

struct CompareOptions {
  double tolerance = 1e-4;      // allowed max |actual - expected|, as a part of the range of `expected`
  bool allow_constant = false;  // constant rows, or a constant array, are what is meant
};

struct Comparison {
  std::string failure;  // empty: sound and within the tolerance
  double max_abs_error = 0.0;
  double range = 0.0;     // largest minus smallest expected value
  double relative = 0.0;  // max_abs_error / range; for a constant array / the constant's magnitude (or 1)
  int64_t worst_row = -1;
  int64_t worst_col = -1;
};

Comparison Compare(const Matrix& actual, const Matrix& expected, const CompareOptions& options = {});

// EXPECT_TRUE(CloseTo(actual, expected, "query of layer 2"))
::testing::AssertionResult CloseTo(const Matrix& actual, const Matrix& expected, const std::string& what,
                                   const CompareOptions& options = {});

}  // namespace oxidized::test
