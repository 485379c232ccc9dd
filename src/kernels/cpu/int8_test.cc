// The int8 path is exact arithmetic on rounded activations: every tier is held, bit for bit, to the few lines
// of Quantised and ModelSum below, whatever the form of the weights, the slice, the chunk or the other
// tokens.
#include "kernels/cpu/kernel_test_support.h"
#include "tensor/interleaved.h"

namespace oxidized {
namespace {

class Int8Test : public TierTest {};
INSTANTIATE_TEST_SUITE_P(Tiers, Int8Test, ::testing::ValuesIn(CpuTiers()), TierName);

int Element(int place) {  // of a block, at a place of Int8XBlock::q
  return place / 8 * 8 + place % 8 / 4 + 2 * (place % 4);
}

struct Block {
  int q[32] = {};  // in the order of the elements
  float scale = 0.0f;
};

Block Quantised(const float* x, int64_t n) {
  Block block;
  float most = 0.0f;
  for (int i = 0; i < n; ++i) {
    if (!std::isfinite(x[i])) {
      block.scale = std::numeric_limits<float>::quiet_NaN();
      return block;
    }
    most = std::max(most, std::fabs(x[i]));
  }
  block.scale = most / 127.0f;
  for (int i = 0; i < n && block.scale > 0.0f; ++i) {
    block.q[i] = static_cast<int>(std::nearbyint(std::clamp(x[i] / block.scale, -127.0f, 127.0f)));
  }
  return block;
}

std::vector<Block> QuantisedRow(const float* x, int64_t k) {
  std::vector<Block> row;
  for (int64_t i = 0; i < k; i += 32) row.push_back(Quantised(x + i, std::min<int64_t>(32, k - i)));
  return row;
}

// One weight row: small integers and a scale for each block.
struct WeightRow {
  std::vector<int> q;
  std::vector<float> scales;
};

float ModelSum(const std::vector<Block>& x, const WeightRow& w) {
  float sum = 0.0f;
  for (size_t b = 0; b < x.size(); ++b) {
    int products = 0;
    for (size_t i = 0; i < 32; ++i) products += x[b].q[i] * w.q[b * 32 + i];
    sum = std::fma(static_cast<float>(products) * x[b].scale, w.scales[b], sum);
  }
  return sum;
}

TEST_P(Int8Test, BlocksAreRoundedToNearestEven) {
  std::vector<float> values = Gaussians(11, 32 * 9 + 5);
  for (int i = 0; i < 32; ++i) values[static_cast<size_t>(i)] = 0.0f;
  for (int i = 0; i < 32; ++i) values[32 + static_cast<size_t>(i)] = static_cast<float>(i) - 15.5f;  // ties
  values[32] = 127.0f;
  values[64 + 3] = INFINITY;
  values[96 + 31] = -NAN;
  for (int i = 0; i < 32; ++i) values[128 + static_cast<size_t>(i)] *= 0x1.0p-148f;  // subnormal
  for (int i = 0; i < 32; ++i) values[160 + static_cast<size_t>(i)] *= 0x1.0p-143f;
  values[192] = 3e38f;
  const auto n = static_cast<int64_t>(values.size());
  std::vector<float> in_place = values;
  std::vector<std::byte> apart(10 * sizeof(Int8XBlock));
  kernels().f32_to_x(values.data(), n, {XType::kInt8}, apart.data());
  kernels().f32_to_x(in_place.data(), n, {XType::kInt8}, in_place.data());
  EXPECT_EQ(std::memcmp(apart.data(), in_place.data(), apart.size()), 0);
  const std::vector<Block> expected = QuantisedRow(values.data(), n);
  for (size_t b = 0; b < expected.size(); ++b) {
    Int8XBlock actual;
    std::memcpy(&actual, apart.data() + b * sizeof(actual), sizeof(actual));
    int sum = 0;
    for (int place = 0; place < 32; ++place) {
      EXPECT_EQ(int{actual.q[place]}, expected[b].q[Element(place)]) << "block " << b << " place " << place;
      sum += actual.q[place];
    }
    EXPECT_EQ(std::memcmp(&actual.scale, &expected[b].scale, 4), 0)
        << b << ": " << actual.scale << ", expected " << expected[b].scale;
    EXPECT_EQ(actual.correction, -kInt8Offset * sum);
  }
}

// Rows of x [2 * tokens, K], half of which are used.
struct Inputs {
  int64_t tokens, k;
  std::vector<float> values;
  std::vector<std::byte> x;
  int64_t ldx;
  std::vector<int32_t> x_rows, y_rows;
  std::vector<std::vector<Block>> quantised;  // of each token
  Inputs(const CpuKernels& kernels, int64_t tokens_, int64_t k_)
      : tokens(tokens_), k(k_), values(Gaussians(1, 2 * tokens * k)), ldx(k / 32 * 40 + 8) {
    x.resize(static_cast<size_t>(2 * tokens * ldx));
    for (int64_t t = 0; t < 2 * tokens; ++t)
      kernels.f32_to_x(values.data() + t * k, k, {XType::kInt8}, x.data() + t * ldx);
    for (int64_t t = 0; t < tokens; ++t) {
      x_rows.push_back(static_cast<int32_t>((t * 5 + 1) % (2 * tokens)));
      y_rows.push_back(static_cast<int32_t>(tokens - 1 - t));
      quantised.push_back(QuantisedRow(values.data() + x_rows.back() * k, k));
    }
  }
};

// An expert in one of the forms of MXFP4.
struct ExpertCase {
  int64_t n, k;
  std::vector<WeightRow> rows;
  std::vector<float> bias;
  Bytes values{0, 0}, up_values{0, 0}, scales{0, 0}, bias_bytes{0, 0}, up_bias{0, 0};
  ExpertLayout layout;
  bool apart, scales_apart;

  ExpertCase(ExpertLayout stored_as, bool apart_, int64_t n_, int64_t k_, bool special_scales = true)
      : n(n_),
        k(k_),
        rows(static_cast<size_t>(n)),
        bias(Gaussians(3, n)),
        layout(stored_as),
        apart(apart_),
        scales_apart(layout == ExpertLayout::kMxfp4) {
    std::vector<uint8_t> halves[2], scale_bytes, biases[2];
    for (int64_t r = 0; r < n; ++r) {
      const auto half = static_cast<size_t>(apart ? r % 2 : 0);
      WeightRow& row = rows[static_cast<size_t>(r)];
      for (int64_t b = 0; b < k / 32; ++b) {
        uint8_t codes[16], stored[16];
        const auto at = static_cast<uint64_t>(r * (k / 32) + b);
        for (size_t i = 0; i < 16; ++i) codes[i] = static_cast<uint8_t>(RandomBits(5, at, i)[0]);
        auto scale = static_cast<uint8_t>(119 + RandomBits(6, 0, at)[0] % 8);
        if (at % 13 == 5) scale = 2;  // the least that gives normal numbers
        // Subnormal ones, in some runs of eight blocks: the others have none in any row.
        if (special_scales && at % 11 == 3 && b / 8 % 2 == 1) scale = static_cast<uint8_t>(at % 3);
        float decoded[32];
        DecodeMxfp4Block(codes, 128, decoded);  // twice the values
        for (const float v : decoded) row.q.push_back(static_cast<int>(v));
        row.scales.push_back(E8m0ToFloat(scale) * 0.5f);
        std::memcpy(stored, codes, 16);
        if (layout == ExpertLayout::kGgmlMxfp4) Mxfp4ToGgmlOrder(codes, stored);
        layout == ExpertLayout::kMxfp4 ? scale_bytes.push_back(scale) : halves[half].push_back(scale);
        halves[half].insert(halves[half].end(), stored, stored + 16);
      }
      std::vector<float> one = {bias[static_cast<size_t>(r)]};
      const std::vector<uint8_t> stored = Stored(one, DType::kBF16);
      bias[static_cast<size_t>(r)] = one[0];
      biases[half].insert(biases[half].end(), stored.begin(), stored.end());
    }
    values = Copy(halves[0], 1);
    up_values = Copy(halves[1], 3);
    scales = Copy(scale_bytes, 2);
    bias_bytes = Copy(biases[0], 1);
    up_bias = Copy(biases[1], 2);
  }
  void Interleave() {
    const int64_t blocks = k / 32, of_each = apart ? n / 2 : n;
    const NibbleOrder order = LayoutRow(layout).nibbles;
    std::vector<std::byte> scratch;
    for (int64_t r = 0; r < of_each; r += 32) {
      if (layout == ExpertLayout::kMxfp4) {
        InterleaveMxfp4(values.data() + r * blocks * 16, scales.data() + r * blocks, blocks, scratch);
        continue;
      }
      InterleaveMxfp4(values.data() + r * blocks * 17, order, blocks, scratch);
      if (apart) InterleaveMxfp4(up_values.data() + r * blocks * 17, order, blocks, scratch);
    }
    scales_apart = layout == ExpertLayout::kMxfp4;
    layout = ExpertLayout::kInterleavedMxfp4;
  }
  ExpertArgs Args(const Inputs& in, std::vector<float>& y, int64_t ldy) const {
    return {.x = in.x.data(),
            .ldx = in.ldx,
            .x_rows = in.x_rows.data(),
            .y_rows = in.y_rows.data(),
            .values = values.data(),
            .up_values = apart ? up_values.data() : nullptr,
            .scales = scales_apart ? scales.data() : nullptr,
            .layout = layout,
            .bias = bias_bytes.data(),
            .up_bias = apart ? up_bias.data() : nullptr,
            .bias_type = DType::kBF16,
            .y = y.data(),
            .ldy = ldy,
            .tokens = in.tokens,
            .n = n,
            .k = k,
            .alpha = 1.702f,
            .limit = 1.5f};
  }
};

struct Form {
  const char* name;
  ExpertLayout layout;
  bool apart;
};
constexpr Form kForms[] = {{"published", ExpertLayout::kMxfp4, false},
                           {"ggml", ExpertLayout::kGgmlMxfp4, false},
                           {"ggml apart", ExpertLayout::kGgmlMxfp4, true},
                           {"ollama", ExpertLayout::kOllamaMxfp4, false},
                           {"ollama apart", ExpertLayout::kOllamaMxfp4, true}};

struct Size {
  int64_t tokens, n, k;
};
// Every remainder of a tile, several chunks of tokens, several parts of K, incomplete panels.
constexpr Size kSizes[] = {{1, 2, 32},  {2, 34, 64},  {3, 64, 96},   {4, 70, 320},
                           {5, 36, 96}, {11, 38, 96}, {140, 70, 64}, {7, 40, 32 * 61}};

double SwigluModel(float gate, float up) {
  const double g = std::min(gate, 1.5f), u = std::clamp(up, -1.5f, 1.5f);
  return g / (1.0 + std::exp(-double{1.702f} * g)) * (u + 1.0);
}

TEST_P(Int8Test, ExpertsGiveTheModelsBitsInEveryForm) {
  const CpuKernels& scalar = *CpuTiers().front().kernels;
  for (const auto& [tokens, n, k] : kSizes) {
    const Inputs in(kernels(), tokens, k);
    const int64_t f = n / 2;
    std::vector<float> gated;  // of the first form, by the scalar tier
    for (const Form& form : kForms) {
      const ExpertCase c(form.layout, form.apart, n, k);
      if (!form.apart) {
        std::vector<float> y = Poisoned(tokens * n);
        kernels().int8_mxfp4w_moe_down(c.Args(in, y, n), 0, n);
        for (int64_t t = 0; t < tokens; ++t) {
          for (int64_t r = 0; r < n; ++r) {
            const auto row = static_cast<size_t>(r);
            EXPECT_EQ(y[static_cast<size_t>(in.y_rows[static_cast<size_t>(t)] * n + r)],
                      ModelSum(in.quantised[static_cast<size_t>(t)], c.rows[row]) + c.bias[row])
                << form.name << " T " << tokens << " N " << n << " K " << k << " at " << t << ", " << r;
          }
        }
      }
      if (gated.empty()) {
        gated = Poisoned(tokens * f);
        scalar.int8_mxfp4w_moe_gate_up(c.Args(in, gated, f), 0, n);
        for (int64_t t = 0; t < tokens; ++t) {
          for (int64_t j = 0; j < f; ++j) {
            const auto sum = [&](int64_t r) {
              const auto row = static_cast<size_t>(r);
              return ModelSum(in.quantised[static_cast<size_t>(t)], c.rows[row]) + c.bias[row];
            };
            const float gate = sum(2 * j);
            const double expected = SwigluModel(gate, sum(2 * j + 1));
            // A few ulp, and the exponent's own rounding, which exp() multiplies.
            EXPECT_WITHIN(gated[static_cast<size_t>(in.y_rows[static_cast<size_t>(t)] * f + j)], expected,
                          0x1.0p-24 * (8.0 + 4.0 * std::fabs(gate)) * std::fabs(expected) + 1e-35)
                << " at " << t << ", " << j;
          }
        }
      }
      std::vector<float> y = Poisoned(tokens * f);
      kernels().int8_mxfp4w_moe_gate_up(c.Args(in, y, f), 0, n);
      EXPECT_EQ(std::memcmp(y.data(), gated.data(), y.size() * 4), 0)
          << form.name << " T " << tokens << " N " << n << " K " << k;
    }
  }
}

TEST_P(Int8Test, SlicesAndGroupsOfTokensDoNotShow) {
  const int64_t tokens = 23, n = 140, k = 32 * 33;
  const Inputs in(kernels(), tokens, k);
  for (const Form& form : kForms) {
    const ExpertCase c(form.layout, form.apart, n, k);
    std::vector<float> whole = Poisoned(tokens * n / 2), parts = whole;
    kernels().int8_mxfp4w_moe_gate_up(c.Args(in, whole, n / 2), 0, n);
    for (int64_t t = 0; t < tokens;) {
      const int64_t group = std::min<int64_t>(t % 7 + 1, tokens - t);
      for (const auto& [n0, n1] : {std::pair<int64_t, int64_t>{0, 6}, {6, 48}, {48, 112}, {112, 140}}) {
        ExpertArgs args = c.Args(in, parts, n / 2);
        args.x_rows += t;
        args.y_rows += t;
        args.tokens = group;
        kernels().int8_mxfp4w_moe_gate_up(args, n0, n1);
      }
      t += group;
    }
    EXPECT_EQ(std::memcmp(whole.data(), parts.data(), whole.size() * 4), 0) << form.name;
  }
}

TEST_P(Int8Test, Q8MatmulGivesTheModelsBits) {
  for (const auto& [tokens, n, k] : kSizes) {
    const Inputs in(kernels(), tokens, k);
    std::vector<float> w_values = Gaussians(2, n * k, 0.3f);
    const std::vector<float> bias = Gaussians(3, n);
    const std::vector<uint8_t> stored = Stored(w_values, DType::kQ8_0);
    const Bytes w = Copy(stored, 1);
    std::vector<float> y = Poisoned(tokens * n);
    const DenseArgs args{.x = in.x.data(),
                         .ldx = in.ldx,
                         .w = w.data(),
                         .bias = bias.data(),
                         .y = y.data(),
                         .ldy = n,
                         .tokens = tokens,
                         .k = k,
                         .x_rows = in.x_rows.data()};
    kernels().int8_q8w_matmul(args, 0, n / 2);
    kernels().int8_q8w_matmul(args, n / 2, n);
    for (int64_t r = 0; r < n; ++r) {
      WeightRow row;
      for (int64_t b = 0; b < k / 32; ++b) {
        const uint8_t* block = stored.data() + (r * (k / 32) + b) * 34;
        uint16_t half;
        std::memcpy(&half, block, 2);
        row.scales.push_back(F16ToFloat(half));
        for (int i = 0; i < 32; ++i) row.q.push_back(static_cast<int8_t>(block[2 + i]));
      }
      for (int64_t t = 0; t < tokens; ++t) {
        EXPECT_EQ(y[static_cast<size_t>(t * n + r)],
                  ModelSum(in.quantised[static_cast<size_t>(t)], row) + bias[static_cast<size_t>(r)])
            << "T " << tokens << " N " << n << " K " << k << " at " << t << ", " << r;
      }
    }
  }
}

// Every number of tokens of a tile, several tiles and chunks, slices where panels end.
TEST_P(Int8Test, InterleavedExpertsGiveTheSameBits) {
  for (const int64_t tokens : {1, 2, 3, 4, 5, 6, 7, 8, 13, 140}) {
    const int64_t n = 192, k = 32 * 7;
    const Inputs in(kernels(), tokens, k);
    for (const Form& form : kForms) {
      const ExpertCase stored(form.layout, form.apart, n, k, /*special_scales=*/false);
      ExpertCase interleaved(form.layout, form.apart, n, k, /*special_scales=*/false);
      interleaved.Interleave();
      for (const auto product : {&CpuKernels::int8_mxfp4w_moe_gate_up, &CpuKernels::int8_mxfp4w_moe_down}) {
        const bool gate_up = product == &CpuKernels::int8_mxfp4w_moe_gate_up;
        if (form.apart && !gate_up) continue;
        const int64_t ldy = gate_up ? n / 2 : n;
        std::vector<float> expected = Poisoned(tokens * ldy), y = expected;
        (kernels().*product)(stored.Args(in, expected, ldy), 0, n);
        (kernels().*product)(interleaved.Args(in, y, ldy), 0, 64);
        (kernels().*product)(interleaved.Args(in, y, ldy), 64, n);
        EXPECT_EQ(std::memcmp(y.data(), expected.data(), y.size() * 4), 0) << form.name << " T " << tokens;
      }
    }
  }
}

TEST_P(Int8Test, InterleavedQ8GivesTheSameBits) {
  for (const int64_t tokens : {1, 2, 3, 4, 5, 6, 7, 8, 13, 140}) {
    const int64_t n = 96, k = 32 * 5;
    const Inputs in(kernels(), tokens, k);
    std::vector<float> w_values = Gaussians(2, n * k, 0.3f);
    const std::vector<float> bias = Gaussians(3, n);
    const Bytes w = Copy(Stored(w_values, DType::kQ8_0), 1);
    std::vector<float> expected = Poisoned(tokens * n), y = expected;
    DenseArgs args{.x = in.x.data(),
                   .ldx = in.ldx,
                   .w = w.data(),
                   .bias = bias.data(),
                   .y = expected.data(),
                   .ldy = n,
                   .tokens = tokens,
                   .k = k,
                   .x_rows = in.x_rows.data()};
    kernels().int8_q8w_matmul(args, 0, n);
    std::vector<std::byte> scratch;
    for (int64_t r = 0; r < n; r += 32)
      InterleaveQ8(const_cast<std::byte*>(w.data()) + r * k / 32 * 34, k / 32, scratch);
    args.interleaved = true;
    args.y = y.data();
    kernels().int8_q8w_matmul(args, 0, 32);
    kernels().int8_q8w_matmul(args, 32, n);
    EXPECT_EQ(std::memcmp(y.data(), expected.data(), y.size() * 4), 0) << "T " << tokens;
  }
}

// The only loss is the rounding of activations: at most half a step of each, where steps differ by block.
TEST_P(Int8Test, ErrorIsThatOfTheActivationsRounding) {
  const int64_t tokens = 5, n = 64, k = 320;
  const Inputs in(kernels(), tokens, k);
  const ExpertCase c(ExpertLayout::kMxfp4, false, n, k);
  std::vector<float> y = Poisoned(tokens * n);
  kernels().int8_mxfp4w_moe_down(c.Args(in, y, n), 0, n);
  double worst = 0.0;
  for (int64_t t = 0; t < tokens; ++t) {
    const float* x = in.values.data() + in.x_rows[static_cast<size_t>(t)] * k;
    for (int64_t r = 0; r < n; ++r) {
      const WeightRow& row = c.rows[static_cast<size_t>(r)];
      ExpectedSum sum;
      double bound = 0.0;
      for (int64_t i = 0; i < k; ++i) {
        const double w =
            row.q[static_cast<size_t>(i)] * static_cast<double>(row.scales[static_cast<size_t>(i / 32)]);
        sum.Add(x[i], w);
        bound +=
            std::fabs(w) *
            static_cast<double>(in.quantised[static_cast<size_t>(t)][static_cast<size_t>(i / 32)].scale) *
            0.5;
      }
      sum.Add(1.0, c.bias[static_cast<size_t>(r)]);
      const float actual = y[static_cast<size_t>(in.y_rows[static_cast<size_t>(t)] * n + r)];
      EXPECT_WITHIN(actual, sum.value, bound * 1.0001 + 2 * sum.Tolerance(k)) << t << ", " << r;
      worst = std::max(worst, std::fabs(static_cast<double>(actual) - sum.value) / bound);
    }
  }
  EXPECT_GT(worst, 0.01) << "nothing was rounded";
}

TEST_P(Int8Test, NanGoesThrough) {
  const Inputs clean(kernels(), 1, 32);
  ExpertCase c(ExpertLayout::kMxfp4, false, 4, 32);
  c.scales.data()[1] = std::byte{255};  // row 1: the up unit of output 0
  std::vector<float> y(2, 0.0f);
  kernels().int8_mxfp4w_moe_gate_up(c.Args(clean, y, 2), 0, 4);
  EXPECT_TRUE(std::isnan(y[0]));
  EXPECT_FALSE(std::isnan(y[1]));
  Inputs bad(kernels(), 1, 32);
  std::vector<float> x = bad.values;
  x[32 + 9] = INFINITY;  // of row 1, which the token takes
  kernels().f32_to_x(x.data() + 32, 32, {XType::kInt8}, bad.x.data() + bad.ldx);
  kernels().int8_mxfp4w_moe_gate_up(c.Args(bad, y, 2), 0, 4);
  EXPECT_TRUE(std::isnan(y[1]));
}

}  // namespace
}  // namespace oxidized
