#include <algorithm>

#include "kernels/cpu/kernel_test_support.h"

namespace oxidized {
namespace {

using Product = void (*)(const ExpertArgs&, int64_t, int64_t);

struct Variant {
  const char* name;
  Product CpuKernels::* gate_up;
  Product CpuKernels::* down;
  XFormat x;
  bool transposed;
  DType type;  // of biases, and of transposed values
};
const Variant kVariants[] = {
    {"f32_mxfp4w",
     &CpuKernels::f32_mxfp4w_moe_gate_up,
     &CpuKernels::f32_mxfp4w_moe_down,
     {XType::kF32, Rounding::kNone},
     false,
     DType::kBF16},
    {"f32_mxfp4w, bf16 values",
     &CpuKernels::f32_mxfp4w_moe_gate_up,
     &CpuKernels::f32_mxfp4w_moe_down,
     {XType::kF32, Rounding::kBf16},
     false,
     DType::kF32},
    {"bf16_mxfp4w",
     &CpuKernels::bf16_mxfp4w_moe_gate_up,
     &CpuKernels::bf16_mxfp4w_moe_down,
     {XType::kBf16, Rounding::kBf16},
     false,
     DType::kBF16},
    {"f32_transposed bf16",
     &CpuKernels::f32_transposedw_moe_gate_up,
     &CpuKernels::f32_transposedw_moe_down,
     {XType::kF32, Rounding::kNone},
     true,
     DType::kBF16},
    {"f32_transposed f32",
     &CpuKernels::f32_transposedw_moe_gate_up,
     &CpuKernels::f32_transposedw_moe_down,
     {XType::kF32, Rounding::kF16},
     true,
     DType::kF32},
    {"f32_transposed f16",
     &CpuKernels::f32_transposedw_moe_gate_up,
     &CpuKernels::f32_transposedw_moe_down,
     {XType::kF32, Rounding::kNone},
     true,
     DType::kF16},
};

class ExpertsTest : public TierTest {};
INSTANTIATE_TEST_SUITE_P(Tiers, ExpertsTest, ::testing::ValuesIn(CpuTiers()), TierName);

// One expert with every kind of scale byte, and `rows` routed rows out of twice as many.
struct Case {
  Case(const Variant& v, int64_t rows_, int64_t n_, int64_t k_, bool odd_scales, size_t misalignment)
      : variant(v),
        rows(rows_),
        n(n_),
        k(k_),
        x_values(Gaussians(1, 2 * rows * k)),
        bias_values(Gaussians(3, n)),
        x(MakeX(x_values, 2 * rows, k, v.x)),
        bias(StoreAs(bias_values, v.type, misalignment)),
        blocks(0, 0),
        scales(static_cast<size_t>(n * k / 32), misalignment),
        scratch(static_cast<size_t>(ExpertScratchBytes(k)), 0) {
    w_values.resize(static_cast<size_t>(n * k));
    if (v.transposed) {
      std::vector<float> transposed = Gaussians(4, n * k, 0.2f);
      blocks = StoreAs(transposed, v.type, misalignment);
      for (int64_t r = 0; r < n; ++r) {
        for (int64_t c = 0; c < k; ++c) {
          w_values[static_cast<size_t>(r * k + c)] = transposed[static_cast<size_t>(c * n + r)];
        }
      }
    } else {
      blocks = Bytes(static_cast<size_t>(n * k / 2), misalignment);
      auto* b = reinterpret_cast<uint8_t*>(blocks.data());
      auto* s = reinterpret_cast<uint8_t*>(scales.data());
      for (int64_t i = 0; i < n * k / 2; ++i)
        b[i] = static_cast<uint8_t>(RandomBits(5, 0, static_cast<uint64_t>(i))[0]);
      for (int64_t i = 0; i < n * k / 32; ++i) {
        s[i] = static_cast<uint8_t>(119 + RandomBits(6, 0, static_cast<uint64_t>(i))[0] % 8);
        if (odd_scales && i % 7 == 3)
          s[i] = static_cast<uint8_t>(i % 3);  // bf16 has no normal number for these
        DecodeMxfp4Block(b + i * 16, s[i], w_values.data() + i * 32);
      }
    }
    for (int64_t t = 0; t < rows; ++t) {
      x_rows.push_back(static_cast<int32_t>((t * 5 + 1) % (2 * rows)));
      y_rows.push_back(static_cast<int32_t>(rows - 1 - t));
    }
  }
  ExpertArgs Args(void* y, int64_t ldy, XFormat out) const {
    return {.x = x.memory.data(),
            .ldx = x.ld,
            .x_rows = x_rows.data(),
            .y_rows = y_rows.data(),
            .blocks = blocks.data(),
            .scales = scales.data(),
            .value_type = variant.type,
            .bias = bias.data(),
            .bias_type = variant.type,
            .y = y,
            .ldy = ldy,
            .tokens = rows,
            .n = n,
            .k = k,
            .out = out,
            .alpha = 1.702f,
            .limit = 1.5f,
            .scratch = const_cast<std::byte*>(scratch.data())};
  }
  ExpectedSum Expected(int64_t t, int64_t r) const {
    ExpectedSum sum;
    const int64_t row = x_rows[static_cast<size_t>(t)];
    for (int64_t j = 0; j < k; ++j) {
      sum.Add(x_values[static_cast<size_t>(row * k + j)], w_values[static_cast<size_t>(r * k + j)]);
    }
    sum.Add(1.0, bias_values[static_cast<size_t>(r)]);
    return sum;
  }

  const Variant& variant;
  int64_t rows, n, k;
  std::vector<float> x_values, bias_values, w_values;
  Activations x;
  Bytes bias, blocks, scales, scratch;
  std::vector<int32_t> x_rows, y_rows;
};

TEST_P(ExpertsTest, DownAgreesWithDoublePrecision) {
  for (const Variant& variant : kVariants) {
    const Product down = kernels().*variant.down;
    if (down == nullptr) continue;
    for (const int64_t k : {32, 96, 320}) {
      for (const int64_t n : {2, 34, 66}) {
        for (const int64_t rows : {1, 3, 17}) {
          for (const bool odd_scales : {false, true}) {
            const Case c(variant, rows, n, k, odd_scales, static_cast<size_t>(k / 32 % 3));
            std::vector<float> y = Poisoned(rows * n);
            down(c.Args(y.data(), n, {}), 0, n);
            for (int64_t t = 0; t < rows; ++t) {
              for (int64_t r = 0; r < n; ++r) {
                const ExpectedSum sum = c.Expected(t, r);
                EXPECT_WITHIN(y[static_cast<size_t>(c.y_rows[static_cast<size_t>(t)] * n + r)], sum.value,
                              sum.Tolerance(k))
                    << variant.name << " rows " << rows << " N " << n << " K " << k;
              }
            }
          }
        }
      }
    }
  }
}

double Swiglu(double gate, double up, double alpha, double limit) {
  const double g = std::min(gate, limit), u = std::clamp(up, -limit, limit);
  return g / (1.0 + std::exp(-alpha * g)) * (u + 1.0);
}

TEST_P(ExpertsTest, GateUpAgreesWithDoublePrecision) {
  for (const Variant& variant : kVariants) {
    const Product gate_up = kernels().*variant.gate_up;
    if (gate_up == nullptr) continue;
    for (const int64_t n : {2, 38, 64, 100}) {
      for (const int64_t rows : {1, 5, 19}) {
        const int64_t k = 96, f = n / 2, ldy = (f + 31) / 32 * 32;
        const Case c(variant, rows, n, k, false, 1);
        std::vector<float> memory = Poisoned(rows * ldy);
        gate_up(c.Args(memory.data(), ldy, variant.x), 0, n);
        for (int64_t t = 0; t < rows; ++t) {
          for (int64_t j = 0; j < f; ++j) {
            const ExpectedSum gate = c.Expected(t, 2 * j), up = c.Expected(t, 2 * j + 1);
            const double expected = Swiglu(gate.value, up.value, 1.702, 1.5);
            const int64_t at = c.y_rows[static_cast<size_t>(t)] * ldy + j;
            const float actual = variant.x.type == XType::kF32
                                     ? memory[static_cast<size_t>(at)]
                                     : Bf16ToFloat(reinterpret_cast<const uint16_t*>(memory.data())[at]);
            // |dy/dg| <= 1.1 (|u| + 1), |dy/du| <= |g| on the clamped ranges; exp and division err by a few
            // ulp; then the rounding of the output format.
            const double error = 1.1 * 2.5 * gate.Tolerance(k) +
                                 (std::fabs(gate.value) + 1.5) * up.Tolerance(k) +
                                 8 * 0x1.0p-24 * std::fabs(expected);
            const double rounding = variant.x.rounding == Rounding::kNone   ? 0.0
                                    : variant.x.rounding == Rounding::kBf16 ? 0x1.0p-8
                                                                            : 0x1.0p-11;
            EXPECT_WITHIN(actual, expected, error + rounding * (std::fabs(expected) + error) + 1e-7)
                << variant.name << " rows " << rows << " N " << n << " at " << t << ", " << j;
          }
        }
      }
    }
  }
}

TEST_P(ExpertsTest, BitsDependOnTheRowAlone) {
  for (const Variant& variant : kVariants) {
    const Product down = kernels().*variant.down;
    const Product gate_up = kernels().*variant.gate_up;
    if (down == nullptr) continue;
    for (const auto& [rows, k] : {std::pair<int64_t, int64_t>{140, 160}, {50, 3200}}) {
      const int64_t n = 70, ldy = 64;
      const Case c(variant, rows, n, k, true, 3);
      std::vector<float> whole = Poisoned(rows * n), parts = whole;
      std::vector<float> gated_whole(static_cast<size_t>(rows * ldy)), gated_parts = gated_whole;
      down(c.Args(whole.data(), n, {}), 0, n);
      gate_up(c.Args(gated_whole.data(), ldy, variant.x), 0, n);
      for (int64_t t = 0; t < rows;) {  // groups of 1, 2, 3, ... rows and slices of the outputs
        const int64_t group = std::min<int64_t>(t % 7 + 1, rows - t);
        for (const auto& [n0, n1] : {std::pair<int64_t, int64_t>{0, 6}, {6, 48}, {48, 70}}) {
          ExpertArgs args = c.Args(parts.data(), n, {});
          args.x_rows += t;
          args.y_rows += t;
          args.tokens = group;
          down(args, n0, n1);
          args.y = gated_parts.data();
          args.ldy = ldy;
          args.out = variant.x;
          gate_up(args, n0, n1);
        }
        t += group;
      }
      EXPECT_EQ(std::memcmp(whole.data(), parts.data(), whole.size() * 4), 0) << variant.name;
      EXPECT_EQ(std::memcmp(gated_whole.data(), gated_parts.data(), gated_whole.size() * 4), 0)
          << variant.name;
    }
  }
}

// A NaN weight must reach the output, whatever clamps lie between.
TEST_P(ExpertsTest, NanGoesThrough) {
  const Variant& variant = kVariants[0];
  Case c(variant, 1, 4, 32, false, 0);
  c.scales.data()[1] = std::byte{255};  // row 1: the up unit of output 0
  c.scales.data()[2] = std::byte{255};  // row 2: the gate unit of output 1
  std::vector<float> y(32, 0.0f);
  (kernels().*variant.gate_up)(c.Args(y.data(), 32, {}), 0, 4);
  EXPECT_TRUE(std::isnan(y[0]));
  EXPECT_TRUE(std::isnan(y[1]));
}

}  // namespace
}  // namespace oxidized
