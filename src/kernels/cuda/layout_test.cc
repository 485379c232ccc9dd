// Layouts and bit tricks of the card's kernels, on the host: against tensor/, and by a model of the
// instruction that meets lanes and registers as the kernels do.
#include "kernels/cuda/layout.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/rng.h"
#include "kernels/cuda/pack_words.h"
#include "kernels/cuda/parts.h"
#include "kernels/cuda/schedule.h"
#include "tensor/float16.h"
#include "tensor/mxfp4.h"

namespace oxidized::cuda {
namespace {

uint32_t Random(uint64_t seed, int64_t i) { return RandomBits(seed, 5, static_cast<uint64_t>(i))[0]; }

TEST(CudaLayout, APlaceAndItsColumnBelongTogether) {
  for (const int cols : {64, 128, 192, 320, 512, 960}) {
    std::vector<int> seen(static_cast<size_t>(StepsOf(cols)) * 32 * 4 * 2);
    for (int row = 0; row < kUnitRows; ++row) {
      for (int col = 0; col < cols; ++col) {
        const Place p = PlaceOf(row, col, cols);
        ASSERT_EQ(ColumnOf(p.step, p.lane, p.reg, p.half, cols), col);
        ASSERT_EQ(p.lane / 4, row);
        ++seen.at(static_cast<size_t>(((p.step * 32 + p.lane) * 4 + p.reg) * 2 + p.half));
      }
    }
    for (const int times : seen) ASSERT_EQ(times, 1);
  }
}

TEST(CudaLayout, UnitsOfPublishedWidthsAreTheMeasuredOnes) {
  EXPECT_EQ(UnitColumns(Form::kBf16Planes, 2880), 320);
  EXPECT_EQ(UnitColumns(Form::kBf16Planes, 4096), 256);
  EXPECT_EQ(UnitColumns(Form::kMxfp4, 2880), 960);
  EXPECT_EQ(UnitBytes(Form::kMxfp4, 960), 4096);
  const Matrix m = MatrixOf(Form::kBf16Planes, 2, 90, 96);
  EXPECT_EQ(m.groups, 12);
  EXPECT_EQ(m.cols, 128);
  EXPECT_EQ(m.bytes(), 12 * 2 * UnitBytes(Form::kBf16Planes, m.unit_cols) * m.chunks);
}

// Every code under every scale byte that units hold, as bf16 bits against f32.
TEST(CudaLayout, Mxfp4CodesBecomeExactBf16) {
  for (int scale = 0; scale <= kMostScale; ++scale) {
    const float factor = FromBf16(static_cast<uint16_t>(StoredScale(static_cast<uint8_t>(scale)) << 7));
    for (uint32_t code = 0; code < 16; ++code) {
      for (int reg = 0; reg < 4; ++reg) {
        for (int half = 0; half < 2; ++half) {
          const uint32_t two = CodesAsBf16(PlacedCode(code, reg, half), reg);
          const auto bits = static_cast<uint16_t>(two >> (16 * half));
          ASSERT_EQ(two >> (16 * (1 - half)) & 0xFFFFu, 0u);
          const float expected = kMxfp4Values[code] * E8m0ToFloat(static_cast<uint8_t>(scale));
          // What mul.bf16x2 gives: exact here, so that the rounded product is the product.
          const float product = FromBf16(bits) * factor;
          ASSERT_EQ(FloatToBf16(product), FloatToBf16(expected)) << scale << ' ' << code;
          ASSERT_EQ(product, expected);
        }
      }
    }
  }
}

TEST(CudaLayout, CodesOfAWordDoNotOverlap) {
  uint32_t all = 0;
  for (int reg = 0; reg < 4; ++reg) {
    for (int half = 0; half < 2; ++half) {
      ASSERT_EQ(all & PlacedCode(15, reg, half), 0u);
      all |= PlacedCode(15, reg, half);
    }
  }
  EXPECT_EQ(all, ~0u);
}

// --- The instruction, m16n8k16, by lanes: a[16][16] b[16][8] from registers, into d.
struct Fragment {
  uint32_t a[32][4], b[32][2];
};
float HalfOf(uint32_t word, int half) { return FromBf16(static_cast<uint16_t>(word >> (16 * half))); }
void Model(const Fragment& f, double (&d)[32][4]) {
  double a[16][16], b[16][8];
  for (int lane = 0; lane < 32; ++lane) {
    const int g = lane / 4, t = lane % 4;
    for (int half = 0; half < 2; ++half) {
      for (int reg = 0; reg < 4; ++reg)
        a[g + reg % 2 * 8][2 * t + half + reg / 2 * 8] = static_cast<double>(HalfOf(f.a[lane][reg], half));
      for (int reg = 0; reg < 2; ++reg)
        b[2 * t + half + reg * 8][g] = static_cast<double>(HalfOf(f.b[lane][reg], half));
    }
  }
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 4; ++i) {
      const int row = lane / 4 + i / 2 * 8, col = lane % 4 * 2 + i % 2;
      for (int k = 0; k < 16; ++k) d[lane][i] += a[row][k] * b[k][col];
    }
  }
}

// A unit against tokens, lane by lane as SumUnits has it; `word_of(step, lane, reg)` gives A's registers.
template <class WordOf>
std::vector<double> UnitTimesTokens(const WordOf& word_of, int cols, const std::vector<uint16_t>& x,
                                    int tokens) {
  const bool full = tokens > 4;
  double sums[2][32][4] = {};
  for (int step = 0; step < StepsOf(cols); ++step) {
    for (int h = 0; h < (full ? 2 : 1); ++h) {
      Fragment f = {};
      for (int lane = 0; lane < 32; ++lane) {
        const int g = lane / 4, t = lane % 4, token = full ? g : g % 4, second = full ? h : g / 4;
        for (int reg = 0; reg < 4; ++reg) f.a[lane][reg] = word_of(step, lane, reg);
        if (token >= tokens) continue;
        const uint16_t* from =
            x.data() + token * cols + second * (cols / 2) + step / 2 * 32 + t * 8 + step % 2 * 4;
        for (int reg = 0; reg < 2; ++reg)
          f.b[lane][reg] = from[reg * 2] | static_cast<uint32_t>(from[reg * 2 + 1]) << 16;
      }
      Model(f, sums[h]);
    }
  }
  std::vector<double> y(kUnitRows * static_cast<size_t>(tokens));
  for (int row = 0; row < kUnitRows; ++row) {
    for (int token = 0; token < tokens; ++token) {
      const int lane = row * 4 + token / 2, i = token % 2;
      const double first = sums[0][lane][i];
      const double second = full ? sums[1][lane][2 + i] : sums[0][lane + 2][2 + i];
      y[static_cast<size_t>(row * tokens + token)] = first + second;
    }
  }
  return y;
}

TEST(CudaLayout, AUnitTimesTokensIsTheProduct) {
  for (const int cols : {64, 192, 320}) {
    for (const int tokens : {1, 3, 4, 5, 8}) {
      std::vector<uint16_t> w(static_cast<size_t>(kUnitRows * cols)), x(static_cast<size_t>(tokens * cols));
      for (size_t i = 0; i < w.size(); ++i)
        w[i] =
            FloatToBf16(static_cast<float>(Random(1, std::ssize(w) + static_cast<int64_t>(i)) % 31) - 15.0f);
      for (size_t i = 0; i < x.size(); ++i)
        x[i] = FloatToBf16(static_cast<float>(Random(2, static_cast<int64_t>(i)) % 15) - 7.0f);
      std::vector<uint32_t> unit(static_cast<size_t>(UnitBytes(Form::kBf16Planes, cols)) / 4);
      for (size_t i = 0; i < unit.size(); ++i) {
        unit[i] = Bf16Word(static_cast<int>(i), cols,
                           [&](int row, int col) { return w[static_cast<size_t>(row * cols + col)]; });
      }
      const auto y = UnitTimesTokens(
          [&](int step, int lane, int reg) {
            return unit[static_cast<size_t>(Bf16ByteAt(step, lane) / 4 + reg)];
          },
          cols, x, tokens);
      for (int row = 0; row < kUnitRows; ++row) {
        for (int token = 0; token < tokens; ++token) {
          double expected = 0.0;
          for (int c = 0; c < cols; ++c)
            expected += static_cast<double>(Bf16ToFloat(w[static_cast<size_t>(row * cols + c)])) *
                        static_cast<double>(Bf16ToFloat(x[static_cast<size_t>(token * cols + c)]));
          ASSERT_EQ(y[static_cast<size_t>(row * tokens + token)], expected) << cols << ' ' << tokens;
        }
      }
    }
  }
}

TEST(CudaLayout, AnMxfp4UnitHoldsItsRows) {
  for (const int cols : {64, 128, 192, 960}) {
    std::vector<uint8_t> codes(static_cast<size_t>(kUnitRows * cols)), scales(codes.size() / 32);
    for (size_t i = 0; i < codes.size(); ++i) codes[i] = Random(3, static_cast<int64_t>(i)) % 16;
    for (size_t i = 0; i < scales.size(); ++i)
      scales[i] = static_cast<uint8_t>(118 + Random(4, static_cast<int64_t>(i)) % 11);
    const int steps = StepsOf(cols), bytes = UnitBytes(Form::kMxfp4, cols);
    std::vector<uint32_t> unit(static_cast<size_t>(bytes) / 4);
    for (size_t i = 0; i < unit.size(); ++i) {
      unit[i] = Mxfp4Word(
          static_cast<int>(i), cols,
          [&](int row, int col) -> uint32_t { return codes[static_cast<size_t>(row * cols + col)]; },
          [&](int row, int col) { return scales[static_cast<size_t>((row * cols + col) / 32)]; });
    }
    const auto* raw = reinterpret_cast<const uint8_t*>(unit.data());
    for (int row = 0; row < kUnitRows; ++row) {
      for (int col = 0; col < cols; ++col) {
        const Place p = PlaceOf(row, col, cols);
        const uint32_t word = unit[static_cast<size_t>(CodesByteAt(p.step, p.lane, steps) / 4)];
        const float code = HalfOf(CodesAsBf16(word, p.reg), p.half);
        const int second = p.reg % 2;
        const uint8_t scale = raw[ScaleByteAt(row, p.step / 2, second, steps)];
        const size_t at = static_cast<size_t>(row * cols + col);
        ASSERT_EQ(code * FromBf16(static_cast<uint16_t>(scale << 7)),
                  kMxfp4Values[codes[at]] * E8m0ToFloat(scales[at / 32]))
            << cols << ' ' << row << ' ' << col;
      }
    }
  }
}

TEST(CudaParts, ThreePartsAreAnF32AndTwoAnF16) {
  for (int64_t i = 0; i < 200000; ++i) {
    uint32_t bits = Random(6, i);
    if ((bits >> 23 & 255) < 20) bits |= 20u << 23;  // below 2^-107 the last part may be lost
    const float value = std::bit_cast<float>(bits);
    uint16_t parts[3];
    SplitInto<3>(value, parts);
    const float sum = FromBf16(parts[2]) + FromBf16(parts[1]) + FromBf16(parts[0]);
    if (std::isfinite(value)) {
      ASSERT_EQ(sum, value) << i;
    } else {
      ASSERT_EQ(std::isnan(sum), std::isnan(value));
    }
    ASSERT_EQ(ToBf16(value), FloatToBf16(value));
  }
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = F16ToFloat(half);
    uint16_t parts[2];
    SplitInto<2>(value, parts);
    const float stored = StoredValue(&half, Source::kF16, 0), sum = FromBf16(parts[1]) + FromBf16(parts[0]);
    if (std::isnan(value)) {
      ASSERT_TRUE(std::isnan(sum) && std::isnan(stored));
    } else {
      ASSERT_EQ(sum, value);
      ASSERT_EQ(stored, value);
      float planes = 0.0f;
      for (int plane = 1; plane >= 0; --plane)
        planes += FromBf16(PartOfStored(&half, Source::kF16, 0, 2, plane));
      ASSERT_EQ(planes, value);
    }
  }
}

TEST(CudaSchedule, EveryUnitIsDoneOnce) {
  for (const int64_t tiles : {1, 3, 64}) {
    for (const int64_t groups : {1, 5, 360}) {
      for (const int64_t blocks : {1, 7, 132}) {
        std::vector<int> done(static_cast<size_t>(tiles * groups));
        for (int64_t b = 0; b < blocks; ++b) {
          const Range units = ShareOf(tiles * groups, b, blocks);
          for (int64_t tile = 0; tile < tiles; ++tile) {
            const Range of = GroupsOfTile(units, tile, tiles);
            for (int64_t g = of.begin; g < of.end; ++g) ++done.at(static_cast<size_t>(g * tiles + tile));
          }
        }
        for (const int times : done) ASSERT_EQ(times, 1) << tiles << ' ' << groups << ' ' << blocks;
      }
    }
  }
}

TEST(CudaSchedule, CursorsMeetEveryUnitOnceInTheOrderOfPasses) {
  for (const int chunks : {1, 3, 9, 16, 47, 60}) {
    for (const int groups : {1, 2, 5, 22, 190}) {
      std::vector<int> seen(static_cast<size_t>(groups * chunks));
      for (int warp = 0; warp < kWarps; ++warp) {
        int last = -1;
        const UnitOrder order{groups, chunks, PassGroups(chunks)};
        for (UnitCursor at = FirstUnit(warp, order); at.pass < groups; at = NextUnit(at, warp, order)) {
          const int number = at.pass * chunks + at.unit;
          ASSERT_GT(number, last);
          last = number;
          ++seen.at(static_cast<size_t>(number));
        }
      }
      for (const int times : seen) ASSERT_EQ(times, 1) << chunks << ' ' << groups;
    }
  }
  EXPECT_EQ(PassGroups(9), 4);
  EXPECT_EQ(PassGroups(16), 3);
  EXPECT_EQ(PassGroups(3), 16);
}

TEST(CudaSchedule, SplitsCoverWhatIsVisible) {
  for (const int64_t visible : {1, 31, 32, 33, 128, 512, 513, 8192, 131072}) {
    const int64_t keys = SplitKeys(visible), splits = SplitsOf(visible);
    EXPECT_LE(splits, kMaxSplits);
    EXPECT_GE(splits * keys, visible);
    EXPECT_LT((splits - 1) * keys, visible);
  }
}

}  // namespace
}  // namespace oxidized::cuda
