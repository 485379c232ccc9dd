#include "kernels/cpu/kernel_test_support.h"

namespace oxidized {
namespace {

using Product = void (*)(const DenseArgs&, int64_t, int64_t);

struct Variant {
  const char* name;
  Product CpuKernels::* product;
  XFormat x;
  DType w;
};
const Variant kVariants[] = {
    {"f32_f32w", &CpuKernels::f32_f32w_matmul, {XType::kF32, Rounding::kNone}, DType::kF32},
    {"f32_bf16w", &CpuKernels::f32_bf16w_matmul, {XType::kF32, Rounding::kNone}, DType::kBF16},
    {"f32_f16w", &CpuKernels::f32_f16w_matmul, {XType::kF32, Rounding::kF16}, DType::kF16},
    {"f32_q8w", &CpuKernels::f32_q8w_matmul, {XType::kF32, Rounding::kNone}, DType::kQ8_0},
    {"bf16_q8w", &CpuKernels::bf16_q8w_matmul, {XType::kBf16, Rounding::kBf16}, DType::kQ8_0},
    {"bf16_bf16w", &CpuKernels::bf16_bf16w_matmul, {XType::kBf16, Rounding::kBf16}, DType::kBF16},
};

class MatmulTest : public TierTest {};
INSTANTIATE_TEST_SUITE_P(Tiers, MatmulTest, ::testing::ValuesIn(CpuTiers()), TierName);

struct Case {
  Case(const Variant& v, int64_t tokens_, int64_t n_, int64_t k_, size_t misalignment)
      : tokens(tokens_),
        n(n_),
        k(k_),
        x_values(Gaussians(1, tokens * k)),
        w_values(Gaussians(2, n * k)),
        bias(Gaussians(3, n)),
        x(MakeX(x_values, tokens, k, v.x)),
        w(StoreAs(w_values, v.w, misalignment)) {}
  DenseArgs Args(std::vector<float>& y) const {
    return {.x = x.memory.data(),
            .ldx = x.ld,
            .w = w.data(),
            .bias = bias.data(),
            .y = y.data(),
            .ldy = n + 3,
            .tokens = tokens,
            .k = k,
            .x_rows = nullptr};
  }
  std::vector<float> Output() const { return Poisoned(tokens * (n + 3)); }

  int64_t tokens, n, k;
  std::vector<float> x_values, w_values, bias;
  Activations x;
  Bytes w;
};

TEST_P(MatmulTest, AgreesWithDoublePrecisionOverTailsAndMisalignment) {
  for (const Variant& variant : kVariants) {
    const Product product = kernels().*variant.product;
    if (product == nullptr) continue;
    int i = 0;
    for (const int64_t k : {1, 31, 32, 50, 96, 320}) {
      if (k % BlockOf(variant.w).elements != 0) continue;
      for (const int64_t n : {1, 4, 33, 70}) {
        for (const int64_t tokens : {1, 2, 3, 7, 13}) {
          const Case c(variant, tokens, n, k, static_cast<size_t>(i++ % 3));
          std::vector<float> y = c.Output();
          product(c.Args(y), 0, n);
          for (int64_t t = 0; t < tokens; ++t) {
            for (int64_t r = 0; r < n; ++r) {
              ExpectedSum sum;
              for (int64_t j = 0; j < k; ++j) {
                sum.Add(c.x_values[static_cast<size_t>(t * k + j)],
                        c.w_values[static_cast<size_t>(r * k + j)]);
              }
              sum.Add(1.0, c.bias[static_cast<size_t>(r)]);
              EXPECT_WITHIN(y[static_cast<size_t>(t * (n + 3) + r)], sum.value, sum.Tolerance(k))
                  << variant.name << " T " << tokens << " N " << n << " K " << k << " at " << t << ", " << r;
            }
            EXPECT_TRUE(std::isnan(y[static_cast<size_t>(t * (n + 3) + n)])) << "wrote past the row";
          }
        }
      }
    }
  }
}

// Shapes that take every road: several chunks of tokens, K in several parts, a tail in K. The bits must not
// show it, nor slices, nor gathered rows, nor one token at a time.
TEST_P(MatmulTest, BitsDependOnTheRowAloneNotOnTilesSlicesOrChunks) {
  for (const Variant& variant : kVariants) {
    const Product product = kernels().*variant.product;
    if (product == nullptr) continue;
    struct {
      int64_t tokens, n, k;
    } const shapes[] = {{150, 45, 260}, {150, 45, 256}, {41, 45, 3200}, {7, 9, 1472}};
    for (const auto& [tokens, n, k] : shapes) {
      if (k % BlockOf(variant.w).elements != 0) continue;
      const Case c(variant, tokens, n, k, 1);
      std::vector<float> whole = c.Output();
      product(c.Args(whole), 0, n);
      std::vector<float> sliced = c.Output();
      const int64_t cuts[] = {0, 7, 8, n - 1, n};
      for (size_t i = 0; i + 1 < std::size(cuts); ++i) product(c.Args(sliced), cuts[i], cuts[i + 1]);
      std::vector<float> single = c.Output();
      for (int32_t t = 0; t < tokens; ++t) {
        DenseArgs args = c.Args(single);
        const int32_t rows[] = {t};
        args.x_rows = rows;
        args.tokens = 1;
        args.y += t * args.ldy;
        product(args, 0, n);
      }
      for (int64_t t = 0; t < tokens; ++t) {
        for (int64_t r = 0; r < n; ++r) {
          const auto at = static_cast<size_t>(t * (n + 3) + r);
          EXPECT_EQ(whole[at], sliced[at]) << variant.name << " K " << k << " at " << t << ", " << r;
          EXPECT_EQ(whole[at], single[at]) << variant.name << " K " << k << " at " << t << ", " << r;
        }
      }
    }
  }
}

// Q8_0 gives the bits of the same values stored in f32, whichever type holds the same activations.
TEST_P(MatmulTest, Q8GivesTheBitsOfItsValuesInF32) {
  for (const int64_t tokens : {1, 5, 40}) {
    const Variant& bf16 = *std::find_if(std::begin(kVariants), std::end(kVariants),
                                        [](const Variant& v) { return std::string(v.name) == "bf16_q8w"; });
    const Variant q8{"", &CpuKernels::f32_q8w_matmul, {XType::kF32, Rounding::kBf16}, DType::kQ8_0};
    const Case c(q8, tokens, 70, 1056, 1);
    std::vector<float> expected = c.Output();
    {
      std::vector<float> values = c.w_values;
      const Bytes w = StoreAs(values, DType::kF32, 0);
      DenseArgs args = c.Args(expected);
      args.w = w.data();
      kernels().f32_f32w_matmul(args, 0, 70);
    }
    std::vector<float> actual = c.Output();
    kernels().f32_q8w_matmul(c.Args(actual), 0, 70);
    EXPECT_EQ(std::memcmp(actual.data(), expected.data(), actual.size() * 4), 0) << tokens;
    if (!kernels().native_bf16) continue;
    const Case narrow(bf16, tokens, 70, 1056, 2);
    actual = narrow.Output();
    kernels().bf16_q8w_matmul(narrow.Args(actual), 0, 70);
    EXPECT_EQ(std::memcmp(actual.data(), expected.data(), actual.size() * 4), 0) << tokens;
  }
}

// bf16 in 12 bits gives the bits of the bf16 it was made of: with no block kept aside, some, and all.
TEST_P(MatmulTest, PackedGivesTheBitsOfBf16) {
  const int64_t n = 70, k = 2080;  // more than one word of escape bits a row
  for (const int64_t odd : {int64_t{1} << 40, int64_t{97}, int64_t{5}}) {
    for (const int64_t tokens : {1, 5, 40}) {
      const auto check = [&](const Variant& plain, Product packed_product) {
        Case c(plain, tokens, n, k, 1);
        for (int64_t i = odd - 1; i < n * k; i += odd) {  // values of rare sizes
          const uint16_t bits = FloatToBf16(std::ldexp(1.0f, static_cast<int>(i % 60) - 50));
          std::memcpy(c.w.data() + 2 * i, &bits, 2);
        }
        std::vector<int64_t> counts(256);
        CountHighBytes(c.w.data(), n * k, counts);
        PackedBf16View view{.high_bytes = CommonHighBytes(counts)};
        Bytes blocks(static_cast<size_t>(n * k / kPackedBlockValues * kPackedBlockBytes), 3);
        std::vector<uint64_t> escaped(static_cast<size_t>(n * PackedEscapeWords(k)));
        std::vector<uint32_t> first;
        std::vector<std::byte> escapes;
        for (int64_t r = 0; r < n; ++r) {
          first.push_back(static_cast<uint32_t>(escapes.size() / 64));
          PackBf16Row(c.w.data() + r * k * 2, k, view.high_bytes,
                      blocks.data() + r * k / kPackedBlockValues * kPackedBlockBytes,
                      escaped.data() + r * PackedEscapeWords(k), escapes);
        }
        EXPECT_TRUE(odd > 100 || !escapes.empty());
        view.blocks = blocks.data();
        view.escaped = escaped.data();
        view.first_escape = first.data();
        view.escapes = escapes.data();

        std::vector<float> expected = c.Output(), actual = c.Output();
        (kernels().*plain.product)(c.Args(expected), 0, n);
        DenseArgs args = c.Args(actual);
        args.w = nullptr;
        args.packed = &view;
        packed_product(args, 0, 36);
        packed_product(args, 36, n);
        EXPECT_EQ(std::memcmp(actual.data(), expected.data(), actual.size() * 4), 0)
            << plain.name << ", " << tokens << " tokens, one odd value in " << odd;
      };
      check(kVariants[1], kernels().f32_packedw_matmul);
      if (kernels().native_bf16) check(kVariants[5], kernels().bf16_packedw_matmul);
    }
  }
}

}  // namespace
}  // namespace oxidized
