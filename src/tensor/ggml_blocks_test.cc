// Every block type against what the PyPI `gguf` package dequantises in float64 (tests/golden/ggml, made by
// tools/ggml_blocks_golden.py).
#include "tensor/ggml_blocks.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tensor/stored.h"

namespace oxidized {

// Found by GoogleTest, which would print a byte.
static void PrintTo(DType type, std::ostream* out) { *out << Name(type); }

namespace {

class GgmlBlocks : public ::testing::TestWithParam<DType> {};

TEST_P(GgmlBlocks, ValuesAreThoseOfFloat64RoundedOnce) {
  const DType dtype = GetParam();
  const std::string path = std::string("tests/golden/ggml/") + Name(dtype) + ".bin";
  std::ifstream in(path, std::ios::binary);
  const std::vector<char> bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  constexpr int64_t kElements = 1024;
  const int64_t stored = StoredBytes(dtype, kElements);
  ASSERT_EQ(static_cast<int64_t>(bytes.size()), stored + kElements * 4) << path;
  std::vector<float> expected(kElements), found(kElements, NAN);
  std::memcpy(expected.data(), bytes.data() + stored, kElements * 4);
  ASSERT_TRUE(CanDecode(dtype));
  DecodeStored(dtype, reinterpret_cast<const std::byte*>(bytes.data()), kElements, found.data());
  float largest = 0.0f;
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_EQ(found[i], expected[i]) << Name(dtype) << " element " << i;
    largest = std::max(largest, std::fabs(expected[i]));
  }
  EXPECT_GT(largest, 1.0f) << "the golden itself holds nothing but small values";
}

INSTANTIATE_TEST_SUITE_P(Types, GgmlBlocks,
                         ::testing::Values(DType::kGgmlMxfp4, DType::kQ8_0, DType::kQ4_0, DType::kQ4_1,
                                           DType::kQ5_0, DType::kQ5_1, DType::kIq4Nl, DType::kQ4K,
                                           DType::kQ5K, DType::kQ6K),
                         [](const auto& param_info) { return std::string(Name(param_info.param)); });

}  // namespace
}  // namespace oxidized
