// For the kernel tests: random data at any misalignment, poisoned outputs, and the tolerance of a sum. Not a
// library.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "base/rng.h"
#include "kernels/cpu/cpu_kernels.h"
#include "kernels/cpu/tier_test_param.h"
#include "tensor/float16.h"
#include "tensor/mxfp4.h"
#include "tensor/stored.h"

namespace oxidized {

class TierTest : public ::testing::TestWithParam<CpuTier> {
 protected:
  void SetUp() override {
    if (!GetParam().available) GTEST_SKIP() << "this machine has no " << GetParam().kernels->name;
  }
  const CpuKernels& kernels() const { return *GetParam().kernels; }
};

// Standard normal, roughly: the sum of 4 uniforms, scaled.
inline float Gaussian(uint64_t seed, uint64_t i) {
  const auto bits = RandomBits(seed, 7, i);
  double sum = 0.0;
  for (const uint32_t b : bits) sum += static_cast<double>(b) * 0x1.0p-32 - 0.5;
  return static_cast<float>(sum * 1.7320508);
}

inline std::vector<float> Gaussians(uint64_t seed, int64_t n, float scale = 1.0f) {
  std::vector<float> values(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i)
    values[static_cast<size_t>(i)] = scale * Gaussian(seed, static_cast<uint64_t>(i));
  return values;
}

inline std::vector<float> Poisoned(int64_t n) {
  return std::vector<float>(static_cast<size_t>(n), std::numeric_limits<float>::quiet_NaN());
}

// Bytes at an address that is `misalignment` past a multiple of 64.
class Bytes {
 public:
  Bytes(size_t size, size_t misalignment) : storage_(size + 64 + misalignment) {
    const auto address = reinterpret_cast<uintptr_t>(storage_.data());
    data_ = storage_.data() + ((64 - address % 64) % 64) + misalignment;
  }
  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }

 private:
  std::vector<std::byte> storage_;
  std::byte* data_;
};

// Values stored in `type` (F32, BF16, F16 or Q8_0), and replaced by what was stored.
inline std::vector<uint8_t> Stored(std::vector<float>& values, DType type) {
  const auto n = static_cast<int64_t>(values.size());
  std::vector<uint8_t> bytes(static_cast<size_t>(StoredBytes(type, n)));
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t half = type == DType::kBF16 ? FloatToBf16(values[i]) : FloatToF16(values[i]);
    if (type == DType::kF32) std::memcpy(bytes.data() + 4 * i, &values[i], 4);
    if (type == DType::kF16 || type == DType::kBF16) std::memcpy(bytes.data() + 2 * i, &half, 2);
  }
  if (type == DType::kQ8_0) {
    for (size_t block = 0; block < values.size() / 32; ++block) {
      const float* from = values.data() + block * 32;
      float most = 0.0f;
      for (int i = 0; i < 32; ++i) most = std::max(most, std::fabs(from[i]));
      // Every fifth scale negative and every block with -128: the type allows both, if no usual writer does.
      const uint16_t half = FloatToF16(block % 5 == 0 ? -most / 127 : most / 127);
      uint8_t* to = bytes.data() + block * 34;
      std::memcpy(to, &half, 2);
      for (int i = 0; i < 32; ++i) {
        const float q =
            most == 0.0f ? 0.0f : std::clamp(std::round(from[i] / F16ToFloat(half)), -127.0f, 127.0f);
        to[2 + i] = static_cast<uint8_t>(static_cast<int8_t>(i == 7 ? -128.0f : q));
      }
    }
  }
  DecodeStored(type, reinterpret_cast<const std::byte*>(bytes.data()), n, values.data());
  return bytes;
}

inline Bytes Copy(const std::vector<uint8_t>& from, size_t misalignment) {
  Bytes bytes(from.size(), misalignment);
  if (!from.empty()) std::memcpy(bytes.data(), from.data(), from.size());
  return bytes;
}

inline Bytes StoreAs(std::vector<float>& values, DType type, size_t misalignment) {
  return Copy(Stored(values, type), misalignment);
}

// Activations [T, K] in a format, rows padded as kernels want them; `values` becomes what is stored.
struct Activations {
  std::vector<float> memory;  // enough for either type
  int64_t ld;
};
inline Activations MakeX(std::vector<float>& values, int64_t tokens, int64_t k, XFormat format) {
  Activations x{{}, (k + kXPad - 1) / kXPad * kXPad};
  x.memory.assign(static_cast<size_t>(tokens * x.ld), 0.0f);
  auto* half = reinterpret_cast<uint16_t*>(x.memory.data());
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t i = 0; i < k; ++i) {
      float& value = values[static_cast<size_t>(t * k + i)];
      if (format.rounding == Rounding::kBf16) value = RoundToBf16(value);
      if (format.rounding == Rounding::kF16) value = F16ToFloat(FloatToF16(value));
      if (format.type == XType::kF32) {
        x.memory[static_cast<size_t>(t * x.ld + i)] = value;
      } else {
        half[t * x.ld + i] = FloatToBf16(value);
      }
    }
  }
  return x;
}

// A sum of K products in f32, in any order: each of the K additions and products errs by at most half an ulp
// of a partial sum, which never exceeds sum |x||w|.
struct ExpectedSum {
  double value = 0.0;
  double magnitude = 0.0;
  void Add(double x, double w) {
    value += x * w;
    magnitude += std::fabs(x * w);
  }
  double Tolerance(int64_t k) const { return 0x1.0p-24 * (static_cast<double>(k) + 4.0) * magnitude + 1e-37; }
};

#define EXPECT_WITHIN(actual, expected, tolerance)                                      \
  EXPECT_TRUE(std::fabs(static_cast<double>(actual) - static_cast<double>(expected)) <= \
              static_cast<double>(tolerance))                                           \
      << #actual " is " << (actual) << ", expected " << (expected) << " within " << (tolerance) << ": "

}  // namespace oxidized
