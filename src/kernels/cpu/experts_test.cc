#include <algorithm>
#include <tuple>

#include "kernels/cpu/kernel_test_support.h"
#include "tensor/grouped_mxfp4.h"

namespace oxidized {
namespace {

using Product = void (*)(const ExpertArgs&, int64_t, int64_t);

enum class Lie : uint8_t {
  kHf,
  kGgml,
  kOllama,
  kGrouped,
  kGroupedHf,
  kRows,
  kTransposed
};  // kGroupedHf: scales apart

struct Variant {
  const char* name;
  Product CpuKernels::* gate_up;
  Product CpuKernels::* down;
  XFormat x;
  Lie lie;
  bool apart;  // odd rows in a matrix of their own
  DType type;  // of rows and transposed values
  DType biases;
};

constexpr XFormat kF32X{XType::kF32, Rounding::kNone}, kF16Values{XType::kF32, Rounding::kF16},
    kBf16Values{XType::kF32, Rounding::kBf16}, kBf16X{XType::kBf16, Rounding::kBf16};

Variant Mx(const char* name, XFormat x, Lie lie, bool apart, DType biases) {
  const bool bf16 = x.type == XType::kBf16;
  return {name,
          bf16 ? &CpuKernels::bf16_mxfp4w_moe_gate_up : &CpuKernels::f32_mxfp4w_moe_gate_up,
          bf16 ? &CpuKernels::bf16_mxfp4w_moe_down : &CpuKernels::f32_mxfp4w_moe_down,
          x,
          lie,
          apart,
          DType::kF32,
          biases};
}
Variant Rows(const char* name, XFormat x, bool apart, DType type) {
  return {name,
          &CpuKernels::f32_rowsw_moe_gate_up,
          &CpuKernels::f32_rowsw_moe_down,
          x,
          Lie::kRows,
          apart,
          type,
          DType::kF32};
}
Variant Transposed(const char* name, XFormat x, DType type) {
  return {name,
          &CpuKernels::f32_transposedw_moe_gate_up,
          &CpuKernels::f32_transposedw_moe_down,
          x,
          Lie::kTransposed,
          false,
          type,
          type};
}

const Variant kVariants[] = {
    Mx("f32_mxfp4w", kF32X, Lie::kHf, false, DType::kBF16),
    Mx("f32_mxfp4w, bf16 values", kBf16Values, Lie::kHf, false, DType::kF32),
    Mx("f32_mxfp4w ggml", kF32X, Lie::kGgml, false, DType::kF32),
    Mx("f32_mxfp4w ggml apart", kF32X, Lie::kGgml, true, DType::kBF16),
    Mx("f32_mxfp4w ollama", kF32X, Lie::kOllama, false, DType::kF16),
    Mx("f32_mxfp4w ollama apart", kF32X, Lie::kOllama, true, DType::kF32),
    Mx("bf16_mxfp4w", kBf16X, Lie::kHf, false, DType::kBF16),
    Mx("bf16_mxfp4w ggml", kBf16X, Lie::kGgml, false, DType::kBF16),
    Mx("bf16_mxfp4w ggml apart", kBf16X, Lie::kGgml, true, DType::kF32),
    Mx("bf16_mxfp4w ollama", kBf16X, Lie::kOllama, false, DType::kBF16),
    Mx("bf16_mxfp4w ollama apart", kBf16X, Lie::kOllama, true, DType::kBF16),
    Mx("bf16_mxfp4w grouped", kBf16X, Lie::kGrouped, false, DType::kBF16),
    Mx("bf16_mxfp4w grouped apart", kBf16X, Lie::kGrouped, true, DType::kF32),
    Mx("bf16_mxfp4w grouped, scales apart", kBf16X, Lie::kGroupedHf, false, DType::kBF16),
    Rows("f32_rows f32", kF32X, false, DType::kF32),
    Rows("f32_rows bf16 apart", kF32X, true, DType::kBF16),
    Rows("f32_rows f16", kF16Values, false, DType::kF16),
    Rows("f32_rows q8", kBf16Values, false, DType::kQ8_0),
    Rows("f32_rows q8 apart", kF32X, true, DType::kQ8_0),
    Transposed("f32_transposed bf16", kF32X, DType::kBF16),
    Transposed("f32_transposed f32", kF16Values, DType::kF32),
    Transposed("f32_transposed f16", kF32X, DType::kF16),
};

class ExpertsTest : public TierTest {
 protected:
  bool Has(const Variant& v) const {
    const bool grouped = v.lie == Lie::kGrouped || v.lie == Lie::kGroupedHf;
    return kernels().*v.gate_up != nullptr && (!grouped || kernels().grouped_mxfp4);
  }
};
INSTANTIATE_TEST_SUITE_P(Tiers, ExpertsTest, ::testing::ValuesIn(CpuTiers()), TierName);

// One expert, and `rows` routed rows out of twice as many. The same values in every form but Q8_0: random
// codes under scales that every type holds, or, with `odd_scales`, some that bf16 does not.
struct Case {
  Case(const Variant& v, int64_t rows_, int64_t n_, int64_t k_, bool odd_scales, size_t misalignment)
      : variant(v),
        rows(rows_),
        n(n_),
        k(k_),
        x_values(Gaussians(1, 2 * rows * k)),
        bias_values(Gaussians(3, n)),
        w_values(static_cast<size_t>(n * k)),
        x(MakeX(x_values, 2 * rows, k, v.x)) {
    const int64_t groups = k / 32;
    std::vector<uint8_t> codes(static_cast<size_t>(n * k / 2)), scale_bytes(static_cast<size_t>(n * groups));
    for (size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<uint8_t>(RandomBits(5, 0, i)[0]);
    for (size_t i = 0; i < scale_bytes.size(); ++i) {
      scale_bytes[i] = static_cast<uint8_t>(119 + RandomBits(6, 0, i)[0] % 8);
      if (odd_scales && static_cast<int64_t>(i) / groups % 5 == 1 && i % 7 == 3)
        scale_bytes[i] = static_cast<uint8_t>(i % 3);
      DecodeMxfp4Block(codes.data() + i * 16, scale_bytes[i], w_values.data() + i * 32);
    }
    std::vector<uint8_t> stored;  // row after row
    switch (v.lie) {
      case Lie::kHf:
        stored = codes;
        break;
      case Lie::kGroupedHf: {
        stored = codes;
        std::vector<std::byte> scratch;
        for (int64_t r = 0; r < n; ++r)
          GroupMxfp4Codes(reinterpret_cast<std::byte*>(stored.data()) + r * k / 2, groups, scratch);
        break;
      }
      case Lie::kGgml:
      case Lie::kOllama:
      case Lie::kGrouped:
        for (size_t i = 0; i < scale_bytes.size(); ++i) {
          uint8_t block[16];
          std::memcpy(block, codes.data() + i * 16, 16);
          if (v.lie == Lie::kGgml) Mxfp4ToGgmlOrder(codes.data() + i * 16, block);
          stored.push_back(scale_bytes[i]);
          stored.insert(stored.end(), block, block + 16);
        }
        if (v.lie == Lie::kGrouped) {
          std::vector<std::byte> scratch;
          for (int64_t r = 0; r < n; ++r) {
            GroupMxfp4Row(reinterpret_cast<std::byte*>(stored.data()) + r * groups * 17,
                          NibbleOrder::kPublished, groups, scratch);
          }
        }
        break;
      case Lie::kRows:
        if (v.type == DType::kQ8_0) w_values = Gaussians(4, n * k, 0.2f);
        stored = Stored(w_values, v.type);
        break;
      case Lie::kTransposed:
        std::vector<float> transposed(w_values.size());
        for (int64_t r = 0; r < n; ++r) {
          for (int64_t c = 0; c < k; ++c)
            transposed[static_cast<size_t>(c * n + r)] = w_values[static_cast<size_t>(r * k + c)];
        }
        stored = Stored(transposed, v.type);
        for (int64_t r = 0; r < n; ++r) {
          for (int64_t c = 0; c < k; ++c)
            w_values[static_cast<size_t>(r * k + c)] = transposed[static_cast<size_t>(c * n + r)];
        }
        break;
    }
    std::tie(values, up_values) = Placed(stored, misalignment);
    std::tie(bias, up_bias) = Placed(Stored(bias_values, v.biases), misalignment);
    scales = Copy(scale_bytes, misalignment);
    for (int64_t t = 0; t < rows; ++t) {
      x_rows.push_back(static_cast<int32_t>((t * 5 + 1) % (2 * rows)));
      y_rows.push_back(static_cast<int32_t>(rows - 1 - t));
    }
  }

  // `stored` [N, ...] whole, or its even and its odd rows.
  std::pair<Bytes, Bytes> Placed(const std::vector<uint8_t>& stored, size_t misalignment) const {
    if (!variant.apart) return {Copy(stored, misalignment), Bytes(0, 0)};
    std::vector<uint8_t> halves[2];
    const size_t row = stored.size() / static_cast<size_t>(n);
    for (size_t at = 0; at < stored.size(); at += row) {
      auto& half = halves[at / row % 2];
      half.insert(half.end(), stored.data() + at, stored.data() + at + row);
    }
    return {Copy(halves[0], misalignment), Copy(halves[1], misalignment + 1)};
  }

  ExpertArgs Args(void* y, int64_t ldy, XFormat out) const {
    const ExpertLayout layout = variant.lie == Lie::kGgml     ? ExpertLayout::kGgmlMxfp4
                                : variant.lie == Lie::kOllama ? ExpertLayout::kOllamaMxfp4
                                : variant.lie == Lie::kHf     ? ExpertLayout::kMxfp4
                                                              : ExpertLayout::kGroupedMxfp4;
    return {.x = x.memory.data(),
            .ldx = x.ld,
            .x_rows = x_rows.data(),
            .y_rows = y_rows.data(),
            .values = values.data(),
            .up_values = variant.apart ? up_values.data() : nullptr,
            .scales = variant.lie == Lie::kHf || variant.lie == Lie::kGroupedHf ? scales.data() : nullptr,
            .layout = layout,
            .value_type = variant.type,
            .bias = bias.data(),
            .up_bias = variant.apart ? up_bias.data() : nullptr,
            .bias_type = variant.biases,
            .y = y,
            .ldy = ldy,
            .tokens = rows,
            .n = n,
            .k = k,
            .out = out,
            .alpha = 1.702f,
            .limit = 1.5f};
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

  const Variant variant;
  int64_t rows, n, k;
  std::vector<float> x_values, bias_values, w_values;
  Activations x;
  Bytes values{0, 0}, up_values{0, 0}, scales{0, 0}, bias{0, 0}, up_bias{0, 0};
  std::vector<int32_t> x_rows, y_rows;
};

// bf16 has no normal numbers for some scales, and f16 and Q8_0 know none of them. Blocks are grouped only
// where it has.
bool HoldsOddScales(const Variant& v) {
  return v.lie == Lie::kHf || v.lie == Lie::kGgml || v.lie == Lie::kOllama;
}

TEST_P(ExpertsTest, DownAgreesWithDoublePrecision) {
  for (const Variant& variant : kVariants) {
    const Product down = kernels().*variant.down;
    if (!Has(variant) || variant.apart) continue;
    for (const int64_t k : {32, 96, 320}) {
      for (const int64_t n : {2, 34, 66}) {
        for (const int64_t rows : {1, 3, 17}) {
          for (const bool odd_scales : {false, true}) {
            if (odd_scales && !HoldsOddScales(variant)) continue;
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
    if (!Has(variant)) continue;
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
    if (!Has(variant)) continue;
    for (const auto& [rows, k] : {std::pair<int64_t, int64_t>{140, 160}, {23, 3200}}) {
      const int64_t n = 70, ldy = 64;
      const Case c(variant, rows, n, k, HoldsOddScales(variant), 3);
      std::vector<float> whole = Poisoned(rows * n), parts = whole;
      std::vector<float> gated_whole(static_cast<size_t>(rows * ldy)), gated_parts = gated_whole;
      if (!variant.apart) down(c.Args(whole.data(), n, {}), 0, n);
      gate_up(c.Args(gated_whole.data(), ldy, variant.x), 0, n);
      for (int64_t t = 0; t < rows;) {  // groups of 1, 2, 3, ... rows and slices of the outputs
        const int64_t group = std::min<int64_t>(t % 7 + 1, rows - t);
        for (const auto& [n0, n1] : {std::pair<int64_t, int64_t>{0, 6}, {6, 48}, {48, 70}}) {
          ExpertArgs args = c.Args(parts.data(), n, {});
          args.x_rows += t;
          args.y_rows += t;
          args.tokens = group;
          if (!variant.apart) down(args, n0, n1);
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

// The same values stored in another form must not change a bit. Q8_0 holds values of its own: it is compared
// with these as f32 rows.
TEST_P(ExpertsTest, StoredFormDoesNotShow) {
  const auto run = [&](const Case& c) {
    std::vector<float> y(static_cast<size_t>(c.rows * (64 + c.n)), 0.0f);
    (kernels().*c.variant.gate_up)(c.Args(y.data(), 64, c.variant.x), 0, c.n);
    if (!c.variant.apart) (kernels().*c.variant.down)(c.Args(y.data() + c.rows * 64, c.n, {}), 0, c.n);
    return y;
  };
  const auto same_bits = [](const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * 4) == 0;
  };
  const int64_t n = 70, k = 1056;
  for (const int64_t rows : {1, 4, 40}) {
    for (const XFormat x : {kF32X, kBf16X}) {
      if (x.type == XType::kBf16 && !kernels().native_bf16) continue;
      for (const bool odd_scales : {false, true}) {
        const Variant published = Mx("published", x, Lie::kHf, false, DType::kF32);
        const std::vector<float> whole = run(Case(published, rows, n, k, odd_scales, 1));
        for (Variant variant : kVariants) {
          if (!Has(variant) || variant.lie == Lie::kTransposed || variant.type == DType::kQ8_0) continue;
          if ((variant.x.type != x.type) || (odd_scales && !HoldsOddScales(variant))) continue;
          variant.x = x;
          variant.biases = DType::kF32;
          std::vector<float> expected = whole;
          if (variant.apart) std::fill(expected.begin() + rows * 64, expected.end(), 0.0f);  // no down
          EXPECT_TRUE(same_bits(run(Case(variant, rows, n, k, odd_scales, 2)), expected))
              << variant.name << " rows " << rows << " odd scales " << odd_scales;
        }
      }
    }
    for (const bool apart : {false, true}) {
      const Case q8(Rows("q8", kF32X, apart, DType::kQ8_0), rows, n, k, false, 1);
      Case f32(Rows("f32", kF32X, apart, DType::kF32), rows, n, k, false, 1);
      std::vector<float> values = q8.w_values;
      std::tie(f32.values, f32.up_values) = f32.Placed(Stored(values, DType::kF32), 1);
      EXPECT_TRUE(same_bits(run(q8), run(f32))) << "Q8_0, rows " << rows << " apart " << apart;
    }
  }
}

// A NaN weight must reach the output, whatever clamps lie between.
TEST_P(ExpertsTest, NanGoesThrough) {
  for (const Variant& variant : {kVariants[0], kVariants[6]}) {
    if (kernels().*variant.gate_up == nullptr) continue;
    Case c(variant, 1, 4, 32, false, 0);
    c.scales.data()[1] = std::byte{255};  // row 1: the up unit of output 0
    c.scales.data()[2] = std::byte{255};  // row 2: the gate unit of output 1
    std::vector<float> y(32, 0.0f);
    (kernels().*variant.gate_up)(c.Args(y.data(), 32, {}), 0, 4);
    EXPECT_TRUE(std::isnan(y[0]));
    EXPECT_TRUE(std::isnan(y[1]));
  }
}

}  // namespace
}  // namespace oxidized
