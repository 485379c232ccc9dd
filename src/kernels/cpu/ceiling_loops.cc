#include "kernels/cpu/ceiling_loops.h"

#include <string_view>

// OX_VECTOR: an operand of an empty asm, which makes it a new value to the compiler: nothing made of it can
// be taken out of a loop.
#if defined(__x86_64__)
#include <immintrin.h>
#define OX_VECTOR(x) "+v"(x)
#elif defined(__aarch64__)
#include <arm_neon.h>
#define OX_VECTOR(x) "+w"(x)
#else
#define OX_VECTOR(x) "+m"(x)
#endif

namespace oxidized {
namespace {

// Enough independent sums to hide the latency of two units, few enough for the registers.
constexpr int kSums = 16, kFewSums = 12;

// --- Portable

// The compiler's own vectors, as wide as every processor of the architecture has them.
typedef uint64_t Words __attribute__((vector_size(16), may_alias));
typedef float Floats __attribute__((vector_size(16)));

uint64_t ReadPortable(const std::byte* from, int64_t bytes) {
  Words sums[8] = {};
  for (int64_t i = 0; i < bytes; i += 128) {
    const auto* words = reinterpret_cast<const Words*>(from + i);
    for (int j = 0; j < 8; ++j) sums[j] += words[j];
  }
  for (int j = 1; j < 8; ++j) sums[0] += sums[j];
  return sums[0][0] + sums[0][1];
}

double F32Portable(int64_t rounds) {
  Floats sums[kFewSums] = {}, x = {1.0f, 1.0f, 1.0f, 1.0f};
  const Floats w = {0.5f, 0.5f, 0.5f, 0.5f};
  for (int64_t r = 0; r < rounds; ++r) {
    for (Floats& sum : sums) {
      asm volatile("" : OX_VECTOR(x));  // each product is one of its own
      sum += w * x;
    }
  }
  for (int i = 1; i < kFewSums; ++i) sums[0] += sums[i];
  return static_cast<double>(sums[0][0]);
}

// One round of `count` independent sums, each taking one step.
#define OX_ROUNDS(count, sums, x, step)               \
  for (int64_t r = 0; r < rounds; ++r) {              \
    asm volatile("" : OX_VECTOR(x));                  \
    for (int i = 0; i < (count); ++i) sums[i] = step; \
  }

#if defined(__x86_64__)

// --- AVX2

#define OX_AVX2 __attribute__((target("avx2,fma")))

OX_AVX2 uint64_t ReadAvx2(const std::byte* from, int64_t bytes) {
  __m256i sums[8];
  for (__m256i& s : sums) s = _mm256_setzero_si256();
  const auto* p = reinterpret_cast<const __m256i*>(from);
  for (int64_t i = 0; i < bytes / 32; i += 8) {
    for (int j = 0; j < 8; ++j) sums[j] = _mm256_add_epi64(sums[j], _mm256_load_si256(p + i + j));
  }
  for (int j = 1; j < 8; ++j) sums[0] = _mm256_add_epi64(sums[0], sums[j]);
  const auto words = reinterpret_cast<Words>(_mm256_castsi256_si128(sums[0])) +
                     reinterpret_cast<Words>(_mm256_extracti128_si256(sums[0], 1));
  return words[0] + words[1];
}

OX_AVX2 double F32Avx2(int64_t rounds) {
  __m256 sums[kFewSums], x = _mm256_set1_ps(1.0f);
  const __m256 w = _mm256_set1_ps(0.5f);
  for (__m256& s : sums) s = _mm256_setzero_ps();
  OX_ROUNDS(kFewSums, sums, x, _mm256_fmadd_ps(w, x, sums[i]))
  for (int i = 1; i < kFewSums; ++i) sums[0] = _mm256_add_ps(sums[0], sums[i]);
  return static_cast<double>(_mm256_cvtss_f32(sums[0]));
}

// Without a dot instruction: products of bytes, summed in pairs to words, those in pairs to doublewords.
OX_AVX2 double Int8Avx2(int64_t rounds) {
  __m256i sums[kFewSums], x = _mm256_set1_epi8(3);
  const __m256i w = _mm256_set1_epi8(2), ones = _mm256_set1_epi16(1);
  for (__m256i& s : sums) s = _mm256_setzero_si256();
  for (int64_t r = 0; r < rounds; ++r) {
    for (__m256i& sum : sums) {
      asm volatile("" : OX_VECTOR(x));  // each product is one of its own
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(w, x), ones));
    }
  }
  for (int i = 1; i < kFewSums; ++i) sums[0] = _mm256_add_epi32(sums[0], sums[i]);
  return static_cast<double>(_mm256_extract_epi32(sums[0], 0));
}

// --- AVX-512

#define OX_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))
#define OX_AVX512_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512bf16")))

OX_AVX512 uint64_t ReadAvx512(const std::byte* from, int64_t bytes) {
  __m512i sums[8];
  for (__m512i& s : sums) s = _mm512_setzero_si512();
  for (int64_t i = 0; i < bytes; i += 512) {
    for (int j = 0; j < 8; ++j) sums[j] = _mm512_add_epi64(sums[j], _mm512_load_si512(from + i + j * 64));
  }
  for (int j = 1; j < 8; ++j) sums[0] = _mm512_add_epi64(sums[0], sums[j]);
  alignas(64) uint64_t lanes[8];
  _mm512_store_si512(lanes, sums[0]);
  uint64_t sum = 0;
  for (const uint64_t lane : lanes) sum += lane;
  return sum;
}

OX_AVX512 double F32Avx512(int64_t rounds) {
  __m512 sums[kSums], x = _mm512_set1_ps(1.0f);
  const __m512 w = _mm512_set1_ps(0.5f);
  for (__m512& s : sums) s = _mm512_setzero_ps();
  OX_ROUNDS(kSums, sums, x, _mm512_fmadd_ps(w, x, sums[i]))
  for (int i = 1; i < kSums; ++i) sums[0] = _mm512_add_ps(sums[0], sums[i]);
  return static_cast<double>(_mm512_cvtss_f32(sums[0]));
}

OX_AVX512 double Int8Avx512(int64_t rounds) {
  __m512i sums[kSums], x = _mm512_set1_epi8(3);
  const __m512i w = _mm512_set1_epi8(2), ones = _mm512_set1_epi16(1);
  for (__m512i& s : sums) s = _mm512_setzero_si512();
  for (int64_t r = 0; r < rounds; ++r) {
    for (__m512i& sum : sums) {
      asm volatile("" : OX_VECTOR(x));
      sum = _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_maddubs_epi16(w, x), ones));
    }
  }
  for (int i = 1; i < kSums; ++i) sums[0] = _mm512_add_epi32(sums[0], sums[i]);
  return static_cast<double>(_mm_cvtsi128_si32(_mm512_castsi512_si128(sums[0])));
}

OX_AVX512_BF16 double Bf16Avx512(int64_t rounds) {
  __m512 sums[kSums];
  __m512i x = _mm512_set1_epi16(0x3F80);  // 1.0
  const auto w = __builtin_bit_cast(__m512bh, _mm512_set1_epi16(0x3F00));
  for (__m512& s : sums) s = _mm512_setzero_ps();
  OX_ROUNDS(kSums, sums, x, _mm512_dpbf16_ps(sums[i], w, __builtin_bit_cast(__m512bh, x)))
  for (int i = 1; i < kSums; ++i) sums[0] = _mm512_add_ps(sums[0], sums[i]);
  return static_cast<double>(_mm512_cvtss_f32(sums[0]));
}

OX_AVX512_BF16 double Int8Avx512Vnni(int64_t rounds) {
  __m512i sums[kSums], x = _mm512_set1_epi8(3);
  const __m512i w = _mm512_set1_epi8(2);
  for (__m512i& s : sums) s = _mm512_setzero_si512();
  OX_ROUNDS(kSums, sums, x, _mm512_dpbusd_epi32(sums[i], w, x))
  for (int i = 1; i < kSums; ++i) sums[0] = _mm512_add_epi32(sums[0], sums[i]);
  return static_cast<double>(_mm_cvtsi128_si32(_mm512_castsi512_si128(sums[0])));
}

constexpr ArithmeticLoop kF32Avx512{F32Avx512, 2 * 16 * kSums};
constexpr CeilingLoops kX86Loops[] = {
    {"avx2", ReadAvx2, {F32Avx2, 2 * 8 * kFewSums}, {}, {Int8Avx2, 2 * 32 * kFewSums}},
    {"avx512", ReadAvx512, kF32Avx512, {}, {Int8Avx512, 2 * 64 * kSums}},
    {"avx512bf16", ReadAvx512, kF32Avx512, {Bf16Avx512, 2 * 32 * kSums}, {Int8Avx512Vnni, 2 * 64 * kSums}},
};

#elif defined(__aarch64__)

uint64_t ReadNeon(const std::byte* from, int64_t bytes) {
  uint64x2_t sums[8];
  for (uint64x2_t& s : sums) s = vdupq_n_u64(0);
  for (int64_t i = 0; i < bytes; i += 128) {
    for (int j = 0; j < 8; ++j) {
      sums[j] = vaddq_u64(sums[j], vld1q_u64(reinterpret_cast<const uint64_t*>(from + i + j * 16)));
    }
  }
  for (int j = 1; j < 8; ++j) sums[0] = vaddq_u64(sums[0], sums[j]);
  return vaddvq_u64(sums[0]);
}

double F32Neon(int64_t rounds) {
  float32x4_t sums[kSums], x = vdupq_n_f32(1.0f);
  const float32x4_t w = vdupq_n_f32(0.5f);
  for (float32x4_t& s : sums) s = vdupq_n_f32(0.0f);
  OX_ROUNDS(kSums, sums, x, vfmaq_f32(sums[i], w, x))
  for (int i = 1; i < kSums; ++i) sums[0] = vaddq_f32(sums[0], sums[i]);
  return static_cast<double>(vgetq_lane_f32(sums[0], 0));
}

__attribute__((target("arch=armv8.2-a+bf16"))) double Bf16Neon(int64_t rounds) {
  float32x4_t sums[kSums];
  uint16_t half = 0x3F00, one = 0x3F80;
  asm volatile(""
               : "+r"(half), "+r"(one));  // GCC 12 makes an fp16 constant of it, which its own target lacks
  uint16x8_t x = vdupq_n_u16(one);
  const bfloat16x8_t w = vreinterpretq_bf16_u16(vdupq_n_u16(half));
  for (float32x4_t& s : sums) s = vdupq_n_f32(0.0f);
  OX_ROUNDS(kSums, sums, x, vbfdotq_f32(sums[i], w, vreinterpretq_bf16_u16(x)))
  for (int i = 1; i < kSums; ++i) sums[0] = vaddq_f32(sums[0], sums[i]);
  return static_cast<double>(vgetq_lane_f32(sums[0], 0));
}

// Without a dot instruction: products of bytes, summed in pairs to halfwords, those in pairs to words.
double Int8Neon(int64_t rounds) {
  int32x4_t sums[kSums];
  int8x16_t x = vdupq_n_s8(3);
  const int8x16_t w = vdupq_n_s8(2);
  for (int32x4_t& s : sums) s = vdupq_n_s32(0);
  for (int64_t r = 0; r < rounds; ++r) {
    for (int32x4_t& sum : sums) {
      asm volatile("" : OX_VECTOR(x));  // each product is one of its own
      const int16x8_t low = vmull_s8(vget_low_s8(w), vget_low_s8(x)), high = vmull_high_s8(w, x);
      sum = vpadalq_s16(sum, vpaddq_s16(low, high));
    }
  }
  for (int i = 1; i < kSums; ++i) sums[0] = vaddq_s32(sums[0], sums[i]);
  return static_cast<double>(vgetq_lane_s32(sums[0], 0));
}

__attribute__((target("arch=armv8.2-a+dotprod"))) double Int8Dot(int64_t rounds) {
  int32x4_t sums[kSums];
  int8x16_t x = vdupq_n_s8(3);
  const int8x16_t w = vdupq_n_s8(2);
  for (int32x4_t& s : sums) s = vdupq_n_s32(0);
  OX_ROUNDS(kSums, sums, x, vdotq_s32(sums[i], w, x))
  for (int i = 1; i < kSums; ++i) sums[0] = vaddq_s32(sums[0], sums[i]);
  return static_cast<double>(vgetq_lane_s32(sums[0], 0));
}

__attribute__((target("arch=armv8.2-a+i8mm"))) double Int8Matrix(int64_t rounds) {
  int32x4_t sums[kSums];
  int8x16_t x = vdupq_n_s8(3);
  const int8x16_t w = vdupq_n_s8(2);
  for (int32x4_t& s : sums) s = vdupq_n_s32(0);
  OX_ROUNDS(kSums, sums, x, vmmlaq_s32(sums[i], w, x))
  for (int i = 1; i < kSums; ++i) sums[0] = vaddq_s32(sums[0], sums[i]);
  return static_cast<double>(vgetq_lane_s32(sums[0], 0));
}

constexpr ArithmeticLoop kF32Neon{F32Neon, 2 * 4 * kSums}, kBf16Neon{Bf16Neon, 2 * 8 * kSums};
constexpr ArithmeticLoop kInt8Dot{Int8Dot, 2 * 16 * kSums};
constexpr CeilingLoops kArmLoops[] = {
    {"neon", ReadNeon, kF32Neon, {}, {Int8Neon, 2 * 16 * kSums}},
    {"neondot", ReadNeon, kF32Neon, {}, kInt8Dot},
    {"neonbf16", ReadNeon, kF32Neon, kBf16Neon, kInt8Dot},
    {"neoni8mm", ReadNeon, kF32Neon, kBf16Neon, {Int8Matrix, 2 * 32 * kSums}},
};

#endif

}  // namespace

const CeilingLoops* FindCeilingLoops(const char* tier) {
  const std::string_view name = tier;
  static const CeilingLoops portable{"scalar", ReadPortable, {F32Portable, 2 * 4 * kFewSums}, {}, {}};
  if (name == portable.tier) return &portable;
#if defined(__x86_64__)
  for (const CeilingLoops& row : kX86Loops) {
    if (name == row.tier) return &row;
  }
#elif defined(__aarch64__)
  for (const CeilingLoops& row : kArmLoops) {
    if (name == row.tier) return &row;
  }
#endif
  return nullptr;
}

}  // namespace oxidized
