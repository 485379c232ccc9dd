#include "tensor/stored.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "tensor/mxfp4.h"

namespace oxidized {
namespace {

TEST(Stored, SizesFollowTheBlock) {
  EXPECT_EQ(StoredBytes(DType::kBF16, 5), 10);
  EXPECT_EQ(StoredBytes(DType::kF4, 6), 3);
  EXPECT_EQ(StoredBytes(DType::kQ8_0, 64), 68);
  EXPECT_EQ(StoredBytes(DType::kGgmlMxfp4, 2880), 90 * 17);
  EXPECT_EQ(StoredBytes(DType::kQ6K, 512), 420);
}

TEST(Stored, Q8_0IsScaleTimesInteger) {
  std::array<uint8_t, 34> block{};
  block[1] = 0x34;  // 0x3400: 2^-2
  for (int i = 0; i < 32; ++i) block[static_cast<size_t>(2 + i)] = static_cast<uint8_t>(i * 8 - 128);
  std::vector<float> out(32);
  DecodeStored(DType::kQ8_0, reinterpret_cast<const std::byte*>(block.data()), 32, out.data());
  for (int i = 0; i < 32; ++i) EXPECT_EQ(out[static_cast<size_t>(i)], static_cast<float>(i * 8 - 128) / 4);
}

TEST(Stored, Mxfp4NibbleOrdersHoldTheSameValues) {
  std::array<uint8_t, 16> hf{}, ggml{}, back{};
  for (int b = 0; b < 16; ++b) hf[static_cast<size_t>(b)] = static_cast<uint8_t>(b * 37 + 11);
  Mxfp4ToGgmlOrder(hf.data(), ggml.data());
  Mxfp4FromGgmlOrder(ggml.data(), back.data());
  EXPECT_EQ(hf, back);
  EXPECT_NE(hf, ggml);
  std::array<float, 32> a{}, b{};
  DecodeMxfp4Block(hf.data(), 120, a.data());
  DecodeGgmlMxfp4Block(ggml.data(), 120, b.data());
  EXPECT_EQ(a, b);
}

}  // namespace
}  // namespace oxidized
