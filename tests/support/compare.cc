#include "support/compare.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

namespace oxidized::test {
namespace {

bool WellFormed(const Matrix& m) {
  return m.rows >= 0 && m.cols >= 0 && static_cast<int64_t>(m.values.size()) == m.rows * m.cols;
}

// Empty, or the place of the first value that is not a finite number.
std::string NonFinite(const char* side, const Matrix& m) {
  for (size_t i = 0; i < m.values.size(); ++i) {
    if (std::isfinite(m.values[i])) continue;
    const auto place = static_cast<int64_t>(i);
    return fmt::format("{} value [{}, {}] is {}", side, place / m.cols, place % m.cols, m.values[i]);
  }
  return {};
}

bool Constant(std::span<const float> values) {
  return std::all_of(values.begin(), values.end(), [&](float v) { return v == values.front(); });
}

}  // namespace

Comparison Compare(const Matrix& actual, const Matrix& expected, const CompareOptions& options) {
  Comparison result;
  const auto fail = [&](std::string why) {
    result.failure = std::move(why);
    return result;
  };
  if (!WellFormed(actual) || !WellFormed(expected)) return fail("a matrix holds not rows x cols values");
  if (actual.rows != expected.rows || actual.cols != expected.cols) {
    return fail(fmt::format("shape is [{}, {}], expected [{}, {}]", actual.rows, actual.cols, expected.rows,
                            expected.cols));
  }
  if (expected.values.empty()) return fail("nothing to compare");
  if (std::string why = NonFinite("expected", expected); !why.empty()) return fail(std::move(why));
  if (std::string why = NonFinite("actual", actual); !why.empty()) return fail(std::move(why));

  const auto [low, high] = std::minmax_element(expected.values.begin(), expected.values.end());
  result.range = static_cast<double>(*high) - static_cast<double>(*low);
  for (size_t i = 0; i < expected.values.size(); ++i) {
    const double error =
        std::abs(static_cast<double>(actual.values[i]) - static_cast<double>(expected.values[i]));
    if (result.worst_row >= 0 && error <= result.max_abs_error) continue;
    result.max_abs_error = error;
    result.worst_row = static_cast<int64_t>(i) / expected.cols;
    result.worst_col = static_cast<int64_t>(i) % expected.cols;
  }
  const double magnitude = *high == 0.0f ? 1.0 : std::abs(static_cast<double>(*high));
  result.relative = result.max_abs_error / (result.range > 0.0 ? result.range : magnitude);

  if (!options.allow_constant) {
    if (result.range == 0.0) return fail(fmt::format("every expected value is {}", *high));
    for (int64_t r = 0; expected.cols > 1 && r < expected.rows; ++r) {
      if (Constant(expected.row(r)))
        return fail(fmt::format("every expected value of row {} is {}", r, expected.row(r)[0]));
    }
  }
  if (!(result.relative <= options.tolerance)) {
    const auto worst = static_cast<size_t>(result.worst_row * expected.cols + result.worst_col);
    return fail(
        fmt::format("value [{}, {}] is {}, expected {}: error {:.3g} is {:.3g} of the range {:.3g}, "
                    "allowed {:.3g}",
                    result.worst_row, result.worst_col, actual.values[worst], expected.values[worst],
                    result.max_abs_error, result.relative, result.range, options.tolerance));
  }
  return result;
}

::testing::AssertionResult CloseTo(const Matrix& actual, const Matrix& expected, const std::string& what,
                                   const CompareOptions& options) {
  const Comparison result = Compare(actual, expected, options);
  if (result.failure.empty()) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << what << ": " << result.failure;
}

}  // namespace oxidized::test
