#include "tensor/packed_bf16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/rng.h"
#include "tensor/float16.h"

namespace oxidized {
namespace {

// rows x cols values; every `odd`-th is any bit pattern at all (NaN, infinity, zero, subnormal).
std::vector<std::byte> Values(int64_t rows, int64_t cols, int64_t odd) {
  std::vector<std::byte> bytes(static_cast<size_t>(rows * cols * 2));
  for (int64_t i = 0; i < rows * cols; ++i) {
    const auto bits = RandomBits(3, 0, static_cast<uint64_t>(i));
    double sum = 0.0;
    for (const uint32_t b : bits) sum += static_cast<double>(b) / 4294967296.0 - 0.5;
    const uint16_t value = i % odd == odd - 1 ? static_cast<uint16_t>(bits[0] >> 8)
                                              : FloatToBf16(static_cast<float>(sum * 0.05));
    std::memcpy(bytes.data() + 2 * i, &value, 2);
  }
  return bytes;
}

struct Packed {
  std::vector<std::byte> blocks, escapes;
  std::vector<uint64_t> escaped;
  std::vector<uint32_t> first;
  PackedBf16View view;
};
Packed Pack(const std::vector<std::byte>& values, int64_t rows, int64_t cols) {
  std::vector<int64_t> counts(256);
  CountHighBytes(values.data(), rows * cols, counts);
  Packed p;
  p.view.high_bytes = CommonHighBytes(counts);
  p.blocks.resize(static_cast<size_t>(rows * cols / 32 * 48));
  p.escaped.resize(static_cast<size_t>(rows * PackedEscapeWords(cols)));
  for (int64_t r = 0; r < rows; ++r) {
    p.first.push_back(static_cast<uint32_t>(p.escapes.size() / 64));
    PackBf16Row(values.data() + r * cols * 2, cols, p.view.high_bytes, p.blocks.data() + r * cols / 32 * 48,
                p.escaped.data() + r * PackedEscapeWords(cols), p.escapes);
  }
  p.view.blocks = p.blocks.data();
  p.view.escaped = p.escaped.data();
  p.view.first_escape = p.first.data();
  p.view.escapes = p.escapes.data();
  return p;
}

TEST(PackedBf16, ComesBackBitForBit) {
  for (const int64_t odd : {int64_t{1}, int64_t{7}, int64_t{1000}, int64_t{1} << 40}) {
    const int64_t rows = 5, cols = 32 * 70;  // more than one word of escape bits
    const auto values = Values(rows, cols, odd);
    const Packed p = Pack(values, rows, cols);
    std::vector<std::byte> row(static_cast<size_t>(cols * 2));
    for (int64_t r = 0; r < rows; ++r) {
      UnpackBf16Row(p.view, r, cols, row.data());
      EXPECT_EQ(0, std::memcmp(row.data(), values.data() + r * cols * 2, row.size())) << odd << " row " << r;
    }
  }
}

TEST(PackedBf16, OrdinaryWeightsHardlyEscape) {
  const int64_t rows = 64, cols = 2880;
  const Packed p = Pack(Values(rows, cols, int64_t{1} << 40), rows, cols);
  EXPECT_LT(static_cast<double>(p.escapes.size()) / 64, 0.01 * static_cast<double>(rows * cols / 32));
}

}  // namespace
}  // namespace oxidized
