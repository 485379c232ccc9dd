#include <cstdlib>

#include "base/error.h"
#include "kernels/cpu/kernel_test_support.h"

namespace oxidized {
namespace {

class ElementwiseTest : public TierTest {};
INSTANTIATE_TEST_SUITE_P(Tiers, ElementwiseTest, ::testing::ValuesIn(CpuTiers()), TierName);

const int64_t kSizes[] = {1, 2, 15, 16, 17, 33, 96, 2880};

TEST_P(ElementwiseTest, RmsNorm) {
  for (const int64_t m : kSizes) {
    const auto x = Gaussians(1, m, 3.0f), scale = Gaussians(2, m);
    auto y = Poisoned(m);
    kernels().f32_rms_norm(x.data(), scale.data(), 1e-5f, m, y.data());
    double squares = 0.0;
    for (const float v : x) squares += static_cast<double>(v) * static_cast<double>(v);
    const double inverse = 1.0 / std::sqrt(squares / static_cast<double>(m) + 1e-5);
    for (size_t i = 0; i < x.size(); ++i) {
      const double expected = static_cast<double>(x[i]) * inverse * static_cast<double>(scale[i]);
      EXPECT_WITHIN(y[i], expected, 0x1.0p-24 * (static_cast<double>(m) / 2 + 8) * std::fabs(expected))
          << m << ' ' << i;
    }
  }
}

TEST_P(ElementwiseTest, RoundingIsThatOfTheCodecBitForBit) {
  std::vector<float> values = Gaussians(1, 997, 100.0f);
  values.insert(values.end(),
                {0.0f, -0.0f, 1.0f + 0x1.0p-8f, 1.0f + 0x1.8p-8f, 65519.0f, 65520.0f, 1e-7f, -3e-8f, 1e-40f,
                 std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()});
  for (const int64_t n : {int64_t{1}, int64_t{16}, int64_t{31}, static_cast<int64_t>(values.size())}) {
    const float* v = values.data() + values.size() - static_cast<size_t>(n);
    auto x = Poisoned(n + kXPad);
    const auto padded = static_cast<size_t>((n + kXPad - 1) / kXPad * kXPad);
    kernels().f32_to_x(v, n, {XType::kBf16, Rounding::kBf16}, x.data());
    const auto* half = reinterpret_cast<const uint16_t*>(x.data());
    for (size_t i = 0; i < padded; ++i) {
      EXPECT_EQ(half[i], i < static_cast<size_t>(n) ? FloatToBf16(v[i]) : 0) << i;
    }
    for (const Rounding rounding : {Rounding::kNone, Rounding::kBf16, Rounding::kF16}) {
      kernels().f32_to_x(v, n, {XType::kF32, rounding}, x.data());
      for (size_t i = 0; i < padded; ++i) {
        const float value = i < static_cast<size_t>(n) ? v[i] : 0.0f;
        const float expected = rounding == Rounding::kBf16  ? RoundToBf16(value)
                               : rounding == Rounding::kF16 ? F16ToFloat(FloatToF16(value))
                                                            : value;
        if (std::isnan(expected)) {
          EXPECT_TRUE(std::isnan(x[i]));
        } else {
          EXPECT_EQ(std::memcmp(&x[i], &expected, 4), 0) << x[i] << " for " << value;
        }
      }
    }
  }
}

TEST_P(ElementwiseTest, Widen) {
  for (const DType type : {DType::kF32, DType::kBF16, DType::kF16}) {
    for (const int64_t n : kSizes) {
      auto values = Gaussians(1, n);
      const Bytes stored = StoreAs(values, type, 1);
      auto out = Poisoned(n);
      kernels().widen(stored.data(), type, n, out.data());
      EXPECT_EQ(out, values);
    }
  }
}

TEST_P(ElementwiseTest, Rope) {
  for (const int32_t d : {2, 6, 32, 64, 80}) {
    const int32_t heads = 3;
    const auto cos = Gaussians(1, d / 2), sin = Gaussians(2, d / 2), before = Gaussians(3, heads * d);
    auto after = before;
    kernels().f32_rope(after.data(), heads, d, cos.data(), sin.data());
    for (int32_t h = 0; h < heads; ++h) {
      for (int32_t i = 0; i < d / 2; ++i) {
        const auto low = static_cast<size_t>(h * d + i), high = low + static_cast<size_t>(d / 2),
                   at = static_cast<size_t>(i);
        ExpectedSum a, b;
        a.Add(before[low], cos[at]);
        a.Add(-before[high], sin[at]);
        b.Add(before[high], cos[at]);
        b.Add(before[low], sin[at]);
        EXPECT_WITHIN(after[low], a.value, a.Tolerance(2));
        EXPECT_WITHIN(after[high], b.value, b.Tolerance(2));
      }
    }
  }
}

TEST_P(ElementwiseTest, AddAndCombineInRankOrder) {
  for (const int64_t m : kSizes) {
    const auto parts = Gaussians(1, 4 * m);
    const float weights[] = {0.4f, 0.3f, 0.0f, 0.2f};
    const int32_t experts[] = {7, 0, -1, 3};
    auto with_hole = parts;
    for (int64_t i = 0; i < m; ++i)
      with_hole[static_cast<size_t>(2 * m + i)] = std::numeric_limits<float>::quiet_NaN();
    auto y = Poisoned(m);
    kernels().f32_combine(with_hole.data(), m, weights, experts, 4, m, y.data());
    auto x = Gaussians(2, m);
    const auto before = x;
    kernels().f32_add(x.data(), y.data(), m);
    for (size_t i = 0; i < y.size(); ++i) {
      ExpectedSum sum;
      for (const size_t k : {0u, 1u, 3u}) sum.Add(weights[k], parts[k * static_cast<size_t>(m) + i]);
      EXPECT_WITHIN(y[i], sum.value, sum.Tolerance(3));
      EXPECT_EQ(x[i], before[i] + y[i]);
    }
  }
}

TEST(CpuTiers, AreNamedAndCanBeForced) {
  const std::string best = SelectCpuKernels("").name;
  std::string last;
  for (const CpuTier& tier : CpuTiers()) {
    if (tier.available) {
      EXPECT_STREQ(SelectCpuKernels(tier.kernels->name).name, tier.kernels->name);
      last = tier.kernels->name;
    } else {
      EXPECT_THROW(SelectCpuKernels(tier.kernels->name), Error);
    }
  }
  EXPECT_EQ(best, last);
  try {
    SelectCpuKernels("sse9");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_NE(std::string(error.what()).find("scalar"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace oxidized
