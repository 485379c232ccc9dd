// Stored forms of weights as operand A of mma.sync m16n8k16, for decoding 1 to 8 tokens. One layout for all
// forms:
//
// A unit is 8 rows x kCols columns, one contiguous run of bytes that a bulk copy brings into shared memory.
// Rows 0..7 of the instruction's 16 are the unit's rows over the first half of its columns, rows 8..15 the
// same rows over the second half, so that work is dealt in groups of 8 rows. kSteps = kCols / 32 instructions
// walk through both halves at once. 32 columns (two steps) of one half lie in a lane as 8 columns in a row,
// so x needs no rearranging: lane 4 g + t reads x[token][half][32 j + 8 t .. + 7] as 16 bytes.
//
// Split (up to 4 tokens): columns 0..3 of B are the tokens over the first half, 4..7 over the second: one
// instruction a step. Full (up to 8): two instructions, each of which has 8 useful rows. Both add in the same
// order, so a row's bits do not depend on the number of tokens.
//
// Each form has: Payload(steps) and Bytes(steps), the bytes without and with the padding, a packer for the
// host (the truth is what went in), Dot for the device.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>
#include <cstring>

#include "ptx.cuh"

namespace limits {

// Units begin at multiples of 128 bytes: bulk copies of others are a tenth slower.
__host__ __device__ constexpr int RoundUp128(int bytes) { return (bytes + 127) / 128 * 128; }

// ---- the place of a value ---------------------------------------------------------------------------------

struct Place {
  int step, lane, reg, half;  // register a<reg> of the lane in that step, low or high 16 bits
};
__host__ __device__ inline Place PlaceOf(int row, int col, int cols) {
  const int second = col >= cols / 2, c = col - second * (cols / 2);
  const int in_pair = c % 32, in_lane = in_pair % 8;
  return {c / 32 * 2 + in_lane / 4, row * 4 + in_pair / 8, in_lane / 2 % 2 * 2 + second, in_lane % 2};
}

// ---- bits, the same on both sides -------------------------------------------------------------------------

// Words of 4 bytes a lane and step, four steps in a row where four are left, so that a lane reads 16 bytes.
__host__ __device__ constexpr int WordAt(int step, int lane, int steps) {
  const int four = step / 4;
  return four * 512 + lane * (four * 4 + 4 <= steps ? 16 : 8) + step % 4 * 4;
}

// The 8 codes of one step and lane; code i of register i / 2, half i % 2. Each code's sign, exponent and
// mantissa bit lie where a shift or a rotation brings them to bits 15, 8..7, 6 of a half word, the pattern of
// bf16.
__host__ __device__ inline int Mxfp4Bit(int reg, int half, int bit) {  // bit 0: mantissa .. 3: sign
  const int at = bit == 3 ? 15 : 6 + bit, p = at + 16 * half;
  if (reg == 0) return p;
  if (reg == 1) return p - 4;
  if (reg == 2) return (p + 6) % 32;
  return bit == 2 ? p + 2 : p - 6;
}
// The 4 bits of the packed form: 0..2 code, 3 sign.
__host__ __device__ inline int NibbleBit(int reg, int half, int bit) {
  const int base = 16 * half;
  if (reg == 0) return base + (bit == 3 ? 15 : 8 + bit);
  if (reg == 1) return base + (bit == 3 ? 7 : bit);
  if (reg == 2) return base + (bit == 3 ? 6 : 3 + bit);
  return base + (bit == 3 ? 14 : 11 + bit);
}

inline void SetBits(uint8_t* word_at, int value, int bits, auto bit_of) {
  uint32_t word;
  std::memcpy(&word, word_at, 4);
  for (int b = 0; b < bits; ++b) {
    const int at = bit_of(b);
    word = (word & ~(1u << at)) | static_cast<uint32_t>(value >> b & 1) << at;
  }
  std::memcpy(word_at, &word, 4);
}

// ---- the device's side ------------------------------------------------------------------------------------

__device__ inline void Mma(float* d, const uint32_t* a, uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ inline uint32_t MultiplyBf16x2(uint32_t a, uint32_t b) {
  uint32_t d;
  asm("mul.bf16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
  return d;
}
__device__ inline uint32_t SubtractBf16x2(uint32_t a, uint32_t b) {
  uint32_t d;
  asm("sub.bf16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
  return d;
}

// x in shared memory, bf16, one row a token, rows `stride` bytes apart (stride = 64 modulo 128: no bank
// conflicts). `cols`: of a unit; `at` points to the unit's first column.
template <bool kFullForm>
struct SharedTokens {
  static constexpr bool kFull = kFullForm;
  uint32_t at;
  uint32_t valid;
  int second;  // bytes from the first to the second half; full form only

  __device__ SharedTokens(const uint8_t* x, int stride, int tokens, int cols, int lane) {
    const int g = lane / 4, t = lane % 4;
    const int token = kFull ? g : g % 4;
    at = SharedAddress(x) + token * stride + t * 16 + (kFull ? 0 : g / 4 * cols);
    valid = token < tokens;
    second = cols;
  }
  __device__ uint4 First(int pair) const { return Read(at + pair * 64); }
  __device__ uint4 Second(int pair) const { return Read(at + second + pair * 64); }
  __device__ uint4 Read(uint32_t address) const {  // predicated: a branch here costs more than the load
    uint4 v;
    asm volatile(
        "{\n.reg .pred p;\nsetp.ne.u32 p, %5, 0;\n"
        "mov.u32 %0, 0;\nmov.u32 %1, 0;\nmov.u32 %2, 0;\nmov.u32 %3, 0;\n"
        "@p ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];\n}"
        : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
        : "r"(address), "r"(valid));
    return v;
  }
};

// The same kept in registers, for a warp whose units all cover the same columns. Split form.
template <int kSteps>
struct RegisterTokens {
  static constexpr bool kFull = false;
  uint4 pairs[kSteps / 2];
  __device__ explicit RegisterTokens(const SharedTokens<false>& x) {
#pragma unroll
    for (int j = 0; j < kSteps / 2; ++j) pairs[j] = x.First(j);
  }
  // One token, from global memory that other blocks wrote.
  __device__ RegisterTokens(const uint16_t* x, int cols, int lane) {
    const int g = lane / 4, t = lane % 4;
#pragma unroll
    for (int j = 0; j < kSteps / 2; ++j) {
      pairs[j] = uint4{0, 0, 0, 0};
      if (g % 4 == 0) pairs[j] = LoadWritten16(x + g / 4 * (cols / 2) + j * 32 + t * 8);
    }
  }
  __device__ uint4 First(int pair) const { return pairs[pair]; }
  __device__ uint4 Second(int) const { return {}; }
};

// Sums of a unit, kept by parity of the step (and half of the columns in the full form).
template <bool kFull>
struct Sums {
  float even[kFull ? 2 : 1][4], odd[kFull ? 2 : 1][4];
  __device__ void Clear() {
#pragma unroll
    for (int h = 0; h < (kFull ? 2 : 1); ++h)
#pragma unroll
      for (int i = 0; i < 4; ++i) even[h][i] = odd[h][i] = 0;
  }
  // Of row lane / 4: tokens 2 t and 2 t + 1; in the split form only where t < 2.
  __device__ float2 Row() const {
    if constexpr (kFull) {
      return {(even[0][0] + odd[0][0]) + (even[1][2] + odd[1][2]),
              (even[0][1] + odd[0][1]) + (even[1][3] + odd[1][3])};
    } else {
      const float second0 = __shfl_down_sync(~0u, even[0][2] + odd[0][2], 2);
      const float second1 = __shfl_down_sync(~0u, even[0][3] + odd[0][3], 2);
      return {(even[0][0] + odd[0][0]) + second0, (even[0][1] + odd[0][1]) + second1};
    }
  }
};

// Two steps: registers a[0..3] and a[4..7] against 32 columns of each half of x.
template <class X>
__device__ inline void TwoSteps(const uint32_t* a, const X& x, int pair, Sums<X::kFull>& sums) {
  const uint4 b = x.First(pair);
  Mma(sums.even[0], a, b.x, b.y);
  Mma(sums.odd[0], a + 4, b.z, b.w);
  if constexpr (X::kFull) {
    const uint4 c = x.Second(pair);
    Mma(sums.even[1], a, c.x, c.y);
    Mma(sums.odd[1], a + 4, c.z, c.w);
  }
}

// ---- bf16 -------------------------------------------------------------------------------------------------

struct Bf16Form {
  static constexpr const char* kName = "bf16";
  __host__ __device__ static constexpr int Payload(int steps) { return steps * 512; }
  __host__ __device__ static constexpr int Bytes(int steps) { return RoundUp128(Payload(steps)); }
  static void Set(uint8_t* unit, int cols, int row, int col, uint16_t bits) {
    const Place p = PlaceOf(row, col, cols);
    std::memcpy(unit + p.step * 512 + p.lane * 16 + p.reg * 4 + p.half * 2, &bits, 2);
  }
  template <int kSteps, class X>
  __device__ static void Dot(const uint8_t* unit, int lane, const X& x, uint32_t, Sums<X::kFull>& sums) {
#pragma unroll
    for (int j = 0; j < kSteps / 2; ++j) {
      uint32_t a[8];
      *reinterpret_cast<uint4*>(a) = *reinterpret_cast<const uint4*>(unit + j * 1024 + lane * 16);
      *reinterpret_cast<uint4*>(a + 4) = *reinterpret_cast<const uint4*>(unit + j * 1024 + 512 + lane * 16);
      TwoSteps(a, x, j, sums);
    }
  }
};

// ---- MXFP4 ------------------------------------------------------------------------------------------------
// Codes, then for each row and pair of steps two bytes: the scales of the first and second half, as exponent
// of the bf16 that multiplies: scale byte + 126, so scale bytes 0 to 128. A row's are padded to 16 bytes.

struct Mxfp4Form {
  static constexpr const char* kName = "MXFP4";
  __host__ __device__ static constexpr int ScaleBytes(int steps) {
    return (steps + 15) / 16 * 16;
  }  // of a row
  __host__ __device__ static constexpr int Payload(int steps) { return steps * 136; }
  __host__ __device__ static constexpr int Bytes(int steps) { return steps * 128 + 8 * ScaleBytes(steps); }
  static void Set(uint8_t* unit, int cols, int row, int col, int code) {
    const Place p = PlaceOf(row, col, cols);
    SetBits(unit + WordAt(p.step, p.lane, cols / 32), code, 4,
            [&](int b) { return Mxfp4Bit(p.reg, p.half, b); });
  }
  static void SetScale(uint8_t* unit, int cols, int row, int col, uint8_t scale) {
    const int steps = cols / 32, second = col >= cols / 2, pair = (col - second * (cols / 2)) / 32;
    unit[steps * 128 + row * ScaleBytes(steps) + pair * 2 + second] = static_cast<uint8_t>(scale + 126);
  }
  // first, second: the scales of the halves, each twice.
  __device__ static void Decode(uint32_t w, uint32_t first, uint32_t second, uint32_t* a) {
    constexpr uint32_t kMask = 0x81C081C0u;
    a[0] = MultiplyBf16x2(w & kMask, first);
    a[1] = MultiplyBf16x2(w << 4 & kMask, second);
    a[2] = MultiplyBf16x2(__funnelshift_r(w, w, 6) & kMask, first);
    a[3] = MultiplyBf16x2((w << 6 & 0x80C080C0u) | (w >> 2 & 0x01000100u), second);
  }
  template <int kSteps, class X>
  __device__ static void Dot(const uint8_t* unit, int lane, const X& x, uint32_t, Sums<X::kFull>& sums) {
    uint32_t scales[ScaleBytes(kSteps) / 4];
#pragma unroll
    for (int i = 0; i < ScaleBytes(kSteps) / 16; ++i)
      *reinterpret_cast<uint4*>(scales + i * 4) =
          *reinterpret_cast<const uint4*>(unit + kSteps * 128 + lane / 4 * ScaleBytes(kSteps) + i * 16);
#pragma unroll
    for (int j = 0; j < kSteps / 2; j += 2) {
      uint32_t w[4];
      if (j * 2 + 4 <= kSteps)
        *reinterpret_cast<uint4*>(w) = *reinterpret_cast<const uint4*>(unit + j * 256 + lane * 16);
      else
        *reinterpret_cast<uint2*>(w) = *reinterpret_cast<const uint2*>(unit + j * 256 + lane * 8);
#pragma unroll
      for (int p = 0; p < 2 && (j + p) * 2 < kSteps; ++p) {
        // The byte becomes bits 14..7 of both halves. (Shifts to the left are multiplications, which have a
        // pipe of their own; those to the right share one with the logic.)
        const uint32_t first = __byte_perm(scales[j / 2], 0, p == 0 ? 0x4040 : 0x4242) << 7;
        const uint32_t second = __byte_perm(scales[j / 2], 0, p == 0 ? 0x4141 : 0x4343) << 7;
        uint32_t a[8];
        Decode(w[p * 2], first, second, a);
        Decode(w[p * 2 + 1], first, second, a + 4);
        TwoSteps(a, x, j + p, sums);
      }
    }
  }
};

// ---- Q8_0 -------------------------------------------------------------------------------------------------
// Bytes, then for each pair of steps and row two f16: the scales of the first and second half. Products of a
// block of 32 are summed by the tensor core, the sum is scaled in f32.

struct Q8Form {
  static constexpr const char* kName = "Q8_0";
  __host__ __device__ static constexpr int Payload(int steps) { return steps * 256 + steps / 2 * 32; }
  __host__ __device__ static constexpr int Bytes(int steps) { return RoundUp128(Payload(steps)); }
  static int ByteAt(const Place& p) {  // 8 bytes a lane and step: a0 a0 a1 a1 a2 a2 a3 a3
    return p.step / 2 * 512 + p.lane * 16 + p.step % 2 * 8 + p.reg * 2 + p.half;
  }
  static void Set(uint8_t* unit, int cols, int row, int col, int8_t value) {
    unit[ByteAt(PlaceOf(row, col, cols))] = static_cast<uint8_t>(value);
  }
  static void SetScale(uint8_t* unit, int cols, int row, int col, uint16_t f16) {
    const int second = col >= cols / 2, pair = (col - second * (cols / 2)) / 32;
    std::memcpy(unit + cols / 32 * 256 + pair * 32 + row * 4 + second * 2, &f16, 2);
  }
  // Bytes 0 and 1 (or 2 and 3) of w as bf16: 128 + low 7 bits, less 128 or 256.
  template <int kSelector>
  __device__ static uint32_t ToBf16(uint32_t w) {
    const uint32_t v = __byte_perm(w, 0x43434343u, kSelector);
    return SubtractBf16x2(v & 0xFF7FFF7Fu, v & 0xFF80FF80u);
  }
  template <int kSteps, class X>
  __device__ static void Dot(const uint8_t* unit, int lane, const X& x, uint32_t, Sums<X::kFull>& sums) {
    const uint8_t* scales = unit + kSteps * 256 + lane / 4 * 4;
#pragma unroll
    for (int j = 0; j < kSteps / 2; ++j) {
      const uint4 w = *reinterpret_cast<const uint4*>(unit + j * 512 + lane * 16);
      const float2 scale = __half22float2(*reinterpret_cast<const __half2*>(scales + j * 32));
      const uint32_t a[8] = {ToBf16<0x4140>(w.x), ToBf16<0x4342>(w.x), ToBf16<0x4140>(w.y),
                             ToBf16<0x4342>(w.y), ToBf16<0x4140>(w.z), ToBf16<0x4342>(w.z),
                             ToBf16<0x4140>(w.w), ToBf16<0x4342>(w.w)};
      auto block = [&](const uint4 b, float* sum) {
        float d[4] = {0, 0, 0, 0};
        Mma(d, a, b.x, b.y);
        Mma(d, a + 4, b.z, b.w);
        sum[0] = fmaf(d[0], scale.x, sum[0]);
        sum[1] = fmaf(d[1], scale.x, sum[1]);
        sum[2] = fmaf(d[2], scale.y, sum[2]);
        sum[3] = fmaf(d[3], scale.y, sum[3]);
      };
      block(x.First(j), j % 2 ? sums.odd[0] : sums.even[0]);
      if constexpr (X::kFull) block(x.Second(j), j % 2 ? sums.odd[1] : sums.even[1]);
    }
  }
};

// ---- bf16 in 12 bits --------------------------------------------------------------------------------------
// Low bytes, then 4 bits a value: sign and the high 7 bits of the exponent less the matrix's `base`. Values
// outside the window of 8 are not part of this form.

struct TwelveBitForm {
  static constexpr const char* kName = "12-bit bf16";
  __host__ __device__ static constexpr int Payload(int steps) { return steps * 384; }
  __host__ __device__ static constexpr int Bytes(int steps) { return RoundUp128(Payload(steps)); }
  static void Set(uint8_t* unit, int cols, int row, int col, uint16_t bits, int base) {
    const Place p = PlaceOf(row, col, cols);
    unit[Q8Form::ByteAt(p)] = static_cast<uint8_t>(bits);
    const int code = ((bits >> 8 & 0x7F) - base) | (bits >> 15) << 3;
    SetBits(unit + cols / 32 * 256 + WordAt(p.step, p.lane, cols / 32), code, 4,
            [&](int b) { return NibbleBit(p.reg, p.half, b); });
  }
  // low: two words of low bytes. base in all four bytes.
  __device__ static void Decode(uint32_t w, uint32_t low0, uint32_t low1, uint32_t base, uint32_t* a) {
    constexpr uint32_t kMask = 0x87008700u, kSign = 0x80008000u, kCode = 0x07000700u;
    a[0] = (w & kMask) + __byte_perm(low0, base, 0x4140);
    a[1] = (w << 8 & kMask) + __byte_perm(low0, base, 0x4342);
    a[2] = ((w << 5 & kCode) | (w << 9 & kSign)) + __byte_perm(low1, base, 0x4140);
    a[3] = ((w >> 3 & kCode) | (w << 1 & kSign)) + __byte_perm(low1, base, 0x4342);
  }
  template <int kSteps, class X>
  __device__ static void Dot(const uint8_t* unit, int lane, const X& x, uint32_t base, Sums<X::kFull>& sums) {
    const uint8_t* nibbles = unit + kSteps * 256;
#pragma unroll
    for (int j = 0; j < kSteps / 2; j += 2) {
      uint32_t w[4];
      if (j * 2 + 4 <= kSteps)
        *reinterpret_cast<uint4*>(w) = *reinterpret_cast<const uint4*>(nibbles + j * 256 + lane * 16);
      else
        *reinterpret_cast<uint2*>(w) = *reinterpret_cast<const uint2*>(nibbles + j * 256 + lane * 8);
#pragma unroll
      for (int p = 0; p < 2 && (j + p) * 2 < kSteps; ++p) {
        const uint4 low = *reinterpret_cast<const uint4*>(unit + (j + p) * 512 + lane * 16);
        uint32_t a[8];
        Decode(w[p * 2], low.x, low.y, base, a);
        Decode(w[p * 2 + 1], low.z, low.w, base, a + 4);
        TwoSteps(a, x, j + p, sums);
      }
    }
  }
};

}  // namespace limits
