#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tensor/dtype.h"
#include "tensor/float16.h"
#include "tensor/mxfp4.h"

namespace oxidized {
namespace {

TEST(Float16, EveryPatternSurvivesWideningAndNarrowing) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto pattern = static_cast<uint16_t>(bits);
    if (!std::isnan(Bf16ToFloat(pattern))) {
      EXPECT_EQ(FloatToBf16(Bf16ToFloat(pattern)), pattern);
    }
    if (!std::isnan(F16ToFloat(pattern))) {
      EXPECT_EQ(FloatToF16(F16ToFloat(pattern)), pattern) << bits;
    }
  }
  EXPECT_TRUE(std::isnan(Bf16ToFloat(FloatToBf16(std::numeric_limits<float>::quiet_NaN()))));
  EXPECT_TRUE(std::isnan(F16ToFloat(FloatToF16(std::numeric_limits<float>::quiet_NaN()))));
}

TEST(Float16, NarrowingRoundsToNearestEven) {
  EXPECT_EQ(FloatToBf16(1.0f + 0x1.0p-8f), 0x3F80);  // tie: to even
  EXPECT_EQ(FloatToBf16(1.0f + 0x1.8p-8f), 0x3F81);
  EXPECT_EQ(FloatToBf16(1.0f + 0x1.0p-7f + 0x1.0p-8f), 0x3F82);  // tie: to even, upwards
  EXPECT_EQ(FloatToF16(1.0f + 0x1.0p-11f), 0x3C00);
  EXPECT_EQ(FloatToF16(65519.0f), 0x7BFF);
  EXPECT_EQ(FloatToF16(65520.0f), 0x7C00);
  EXPECT_EQ(FloatToF16(0x1.0p-24f), 0x0001);
  EXPECT_EQ(FloatToF16(0x1.0p-25f), 0x0000);
  EXPECT_EQ(FloatToF16(-0x1.8p-24f), 0x8002);
}

TEST(Mxfp4, ScaleBytes) {
  EXPECT_EQ(E8m0ToFloat(127), 1.0f);
  EXPECT_EQ(E8m0ToFloat(0), 0x1.0p-127f);
  EXPECT_EQ(E8m0ToFloat(254), 0x1.0p127f);
  EXPECT_TRUE(std::isnan(E8m0ToFloat(255)));
}

TEST(Mxfp4, DecodesLowNibbleFirst) {
  uint8_t block[16] = {0x21};  // element 0 is code 1, element 1 is code 2
  float out[32];
  DecodeMxfp4Block(block, 128, out);
  EXPECT_EQ(out[0], 1.0f);
  EXPECT_EQ(out[1], 2.0f);
  for (int i = 0; i < 32; ++i) EXPECT_EQ(out[i], Mxfp4Element(block, 128, i));
}

// Property: re-quantising MXFP4 values loses nothing, whatever the block's largest code.
TEST(Mxfp4, QuantisingItsOwnValuesIsExact) {
  for (int largest = 1; largest < 8; ++largest) {
    for (int scale : {1, 60, 127, 200}) {
      uint8_t block[16];
      for (int b = 0; b < 16; ++b) {
        const int low = (b * 5) % (largest + 1), high = (b * 3 + 1) % (largest + 1);
        block[b] = static_cast<uint8_t>((low | (b % 2 ? 8 : 0)) | (high | (b % 3 ? 8 : 0)) << 4);
      }
      block[0] = static_cast<uint8_t>(largest);
      float values[32], again[32];
      DecodeMxfp4Block(block, static_cast<uint8_t>(scale), values);
      uint8_t encoded[16];
      const uint8_t encoded_scale = EncodeMxfp4Block(values, encoded);
      DecodeMxfp4Block(encoded, encoded_scale, again);
      for (int i = 0; i < 32; ++i)
        EXPECT_EQ(values[i], again[i]) << "largest " << largest << " element " << i;
    }
  }
}

TEST(Mxfp4, QuantisingPicksTheNearestCodeWithTiesToEven) {
  float values[32] = {6.0f, 5.0f, 2.5f, 3.5f, 0.25f, 0.75f, 1.25f, -1.75f};
  uint8_t block[16];
  const uint8_t scale = EncodeMxfp4Block(values, block);
  EXPECT_EQ(scale, 127);
  const float expected[8] = {6.0f, 4.0f, 2.0f, 4.0f, 0.0f, 1.0f, 1.0f, -2.0f};
  for (int i = 0; i < 8; ++i) EXPECT_EQ(Mxfp4Element(block, scale, i), expected[i]) << i;
}

TEST(DType, NamesRoundTrip) {
  for (int i = 0; i <= static_cast<int>(DType::kC64); ++i) {
    const auto dtype = static_cast<DType>(i);
    EXPECT_EQ(ParseDType(Name(dtype)), dtype);
    EXPECT_GT(Bits(dtype), 0);
  }
  EXPECT_EQ(ParseDType("F128"), std::nullopt);
}

}  // namespace
}  // namespace oxidized
