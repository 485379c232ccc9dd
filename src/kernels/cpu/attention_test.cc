#include <algorithm>

#include "kernels/cpu/kernel_test_support.h"

namespace oxidized {
namespace {

class AttentionTest : public TierTest {};
INSTANTIATE_TEST_SUITE_P(Tiers, AttentionTest, ::testing::ValuesIn(CpuTiers()), TierName);

struct Variant {
  DType type;
  void (*CpuKernels::*attend)(const AttentionArgs&);
};
const Variant kVariants[] = {{DType::kF32, &CpuKernels::f32_f32kv_attention},
                             {DType::kBF16, &CpuKernels::f32_bf16kv_attention},
                             {DType::kF16, &CpuKernels::f32_f16kv_attention}};

float Rounded(float v, DType type) {
  return type == DType::kF32 ? v : type == DType::kBF16 ? RoundToBf16(v) : F16ToFloat(FloatToF16(v));
}

// Blocks in backward order, unused places holding NaN, as memory of a finished sequence might.
struct KvMemory {
  KvMemory(const CpuKernels& kernels, int32_t d, int64_t positions, DType type)
      : keys(Gaussians(1, positions * d)),
        values(Gaussians(2, positions * d)),
        block_bytes(KvHeadElements(d) * Bits(type) / 8) {
    const int64_t count = (positions + kKernelBlockTokens - 1) / kKernelBlockTokens;
    memory.assign(static_cast<size_t>(count * block_bytes / 4), std::numeric_limits<float>::quiet_NaN());
    for (int64_t b = 0; b < count; ++b) block_ids.push_back(static_cast<int32_t>(count - 1 - b));
    for (int64_t p = 0; p < positions; ++p) {
      kernels.write_kv(keys.data() + p * d, values.data() + p * d, d, type,
                       static_cast<int32_t>(p % kKernelBlockTokens),
                       kv() + block_ids[static_cast<size_t>(p / kKernelBlockTokens)] * block_bytes);
    }
    for (auto* v : {&keys, &values}) {
      for (float& x : *v) x = Rounded(x, type);
    }
  }
  std::byte* kv() { return reinterpret_cast<std::byte*>(memory.data()); }
  std::vector<float> keys, values, memory;
  int64_t block_bytes;
  std::vector<int32_t> block_ids;
};

TEST_P(AttentionTest, AgreesWithDoublePrecisionWithSinksWindowsAndTails) {
  for (const Variant& variant : kVariants) {
    for (const int32_t d : {2, 16, 40, 64, 80}) {
      const int64_t positions = 150;
      KvMemory kv(kernels(), d, positions, variant.type);
      for (const int32_t heads : {1, 3, 8, 11}) {
        const auto q = Gaussians(3, heads * d), sinks = Gaussians(4, heads);
        for (const auto& [first, last] :
             {std::pair<int64_t, int64_t>{0, 0}, {0, 31}, {0, 149}, {5, 5}, {33, 140}, {64, 95}}) {
          auto out = Poisoned(heads * d);
          auto scratch = Poisoned(AttentionScratchFloats(d) + 16);
          const float scale = 1.0f / std::sqrt(static_cast<float>(d));
          (kernels().*variant.attend)({.q = q.data(),
                                       .out = out.data(),
                                       .sinks = sinks.data(),
                                       .heads = heads,
                                       .head_dim = d,
                                       .kv = kv.kv(),
                                       .block_bytes = kv.block_bytes,
                                       .block_ids = kv.block_ids.data() + first / kKernelBlockTokens,
                                       .first = first,
                                       .last = last,
                                       .scale = scale,
                                       .scratch = scratch.data()});
          for (int32_t h = 0; h < heads; ++h) {
            std::vector<double> scores;
            double largest = static_cast<double>(sinks[static_cast<size_t>(h)]);
            for (int64_t p = first; p <= last; ++p) {
              double dot = 0.0;
              for (int32_t i = 0; i < d; ++i) {
                dot += static_cast<double>(q[static_cast<size_t>(h * d + i)]) *
                       static_cast<double>(kv.keys[static_cast<size_t>(p * d + i)]);
              }
              scores.push_back(dot * static_cast<double>(scale));
              largest = std::max(largest, scores.back());
            }
            double total = std::exp(static_cast<double>(sinks[static_cast<size_t>(h)]) - largest);
            for (double& s : scores) total += (s = std::exp(s - largest));
            for (int32_t i = 0; i < d; ++i) {
              ExpectedSum sum;
              for (size_t p = 0; p < scores.size(); ++p) {
                sum.Add(scores[p] / total,
                        kv.values[(static_cast<size_t>(first) + p) * static_cast<size_t>(d) +
                                  static_cast<size_t>(i)]);
              }
              // Scores are below about 6 in size: their f32 error, (d + 2) half-ulps of it, enters the
              // weights as a factor.
              const double score_error = 6.0 * 0x1.0p-24 * (d + 4);
              EXPECT_WITHIN(out[static_cast<size_t>(h * d + i)], sum.value,
                            sum.Tolerance(last - first + 8) + 2.0 * score_error * sum.magnitude)
                  << Name(variant.type) << " D " << d << " heads " << heads << " keys " << first << ".."
                  << last;
            }
          }
        }
      }
    }
  }
}

// The heads of a group are worked on together; a head alone must give the same bits.
TEST_P(AttentionTest, BitsDoNotDependOnTheHeadsBeside) {
  const int32_t d = 64, heads = 11;
  for (const Variant& variant : kVariants) {
    KvMemory kv(kernels(), d, 100, variant.type);
    const auto q = Gaussians(3, heads * d), sinks = Gaussians(4, heads);
    auto together = Poisoned(heads * d), alone = together, scratch = Poisoned(AttentionScratchFloats(d));
    AttentionArgs args{.q = q.data(),
                       .out = together.data(),
                       .sinks = sinks.data(),
                       .heads = heads,
                       .head_dim = d,
                       .kv = kv.kv(),
                       .block_bytes = kv.block_bytes,
                       .block_ids = kv.block_ids.data(),
                       .first = 3,
                       .last = 99,
                       .scale = 0.125f,
                       .scratch = scratch.data()};
    (kernels().*variant.attend)(args);
    args.heads = 1;
    for (int32_t h = 0; h < heads; ++h) {
      args.q = q.data() + h * d;
      args.out = alone.data() + h * d;
      args.sinks = sinks.data() + h;
      (kernels().*variant.attend)(args);
    }
    EXPECT_EQ(together, alone);
  }
}

}  // namespace
}  // namespace oxidized
