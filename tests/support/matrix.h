// A row-major f32 matrix that owns its values: what taps and logits are collected in and compared as.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace oxidized::test {

struct Matrix {
  int64_t rows = 0;
  int64_t cols = 0;
  std::vector<float> values;  // [rows, cols]

  std::span<const float> row(int64_t r) const {
    return std::span(values).subspan(static_cast<size_t>(r * cols), static_cast<size_t>(cols));
  }
  std::span<float> row(int64_t r) {
    return std::span(values).subspan(static_cast<size_t>(r * cols), static_cast<size_t>(cols));
  }
};

}  // namespace oxidized::test
