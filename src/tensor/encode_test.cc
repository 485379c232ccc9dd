#include "tensor/encode.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "tensor/float16.h"
#include "tensor/stored.h"

namespace oxidized {
namespace {

TEST(Encode, EveryStoredValueIsReproduced) {
  for (const DType dtype : {DType::kBF16, DType::kF16}) {
    for (uint32_t bits = 0; bits < 65536; bits += 7) {
      const auto pattern = static_cast<uint16_t>(bits);
      float value = 0.0f;
      std::byte stored[2];
      std::memcpy(stored, &pattern, sizeof(pattern));
      DecodeStored(dtype, stored, 1, &value);
      if (std::isnan(value)) continue;
      EncodeStored(dtype, &value, 1, stored);
      EXPECT_EQ(LoadUnaligned<uint16_t>(stored), pattern);
    }
  }
}

// The bytes are those of ggml's quantize_row_q8_0_ref (through the PyPI package gguf 0.19) for
// x[i] = (i * 37 % 64 - 30) * 0.0371.
TEST(Encode, Q8_0IsGgmls) {
  float values[32];
  for (int i = 0; i < 32; ++i) values[i] = static_cast<float>(i * 37 % 64 - 30) * 0.0371f;
  std::byte stored[34];
  EncodeStored(DType::kQ8_0, values, 32, stored);
  constexpr uint8_t kExpected[34] = {240, 32,  141, 27,  179, 65, 218, 104, 0,   152, 38, 191,
                                     77,  229, 115, 12,  164, 50, 202, 89,  241, 127, 23, 175,
                                     62,  214, 100, 252, 148, 35, 187, 73,  225, 112};
  EXPECT_EQ(std::memcmp(stored, kExpected, sizeof(kExpected)), 0);
}

TEST(Encode, Q8_0RoundsHalvesAwayFromZeroAndKeepsZeros) {
  float values[64] = {127.0f, 2.5f, -2.5f, 0.49f, -126.5f};
  std::byte stored[68];
  EncodeStored(DType::kQ8_0, values, 64, stored);
  float back[64];
  DecodeStored(DType::kQ8_0, stored, 64, back);
  EXPECT_EQ(back[0], 127.0f);
  EXPECT_EQ(back[1], 3.0f);
  EXPECT_EQ(back[2], -3.0f);
  EXPECT_EQ(back[3], 0.0f);
  EXPECT_EQ(back[4], -127.0f);
  for (int i = 32; i < 64; ++i) EXPECT_EQ(back[i], 0.0f);
}

}  // namespace
}  // namespace oxidized
