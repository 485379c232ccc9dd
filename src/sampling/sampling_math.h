// The arithmetic of sampling, defined once for every device: f32 additions and multiplications that are each
// rounded to nearest, conversions, and integers. No double, no division, no square root, no function of a
// library, no fused multiply-add. CPU code and CUDA kernels call these functions, shaders mirror them; equal
// logits then give equal tokens everywhere. Not here: searches and sums over a row, which may run in any
// order, because masses are integers (docs/numerics.md, Sampling).
//
// A device must round f32 sums and products to nearest even; it may flush subnormal numbers, which changes
// nothing here: values are ordered by their bits, and where a subnormal is a sum's term, the result is the
// same without it.
#pragma once

#include <bit>
#include <cstdint>

#include "base/host_device.h"
#include "base/rng.h"

namespace oxidized {

// A token's mass is floor(weight * 2^39), so that those of 2^24 tokens (the largest vocabulary that is
// opened) sum to at most 2^63. Weights below 2^-39 of the highest have none.
inline constexpr int kMassBits = 39;

// What sampling needs of SamplingParams, in the numbers of a device. Made on the host (SamplingNumbersOf).
struct SamplingNumbers {
  bool greedy = false;
  bool penalties = false;
  int32_t top_k = 0;                   // 0: off
  uint64_t top_p = uint64_t{1} << 32;  // in units of 2^-32; 2^32: off
  float min_p = 0.0f;
  float inverse_temperature = 1.0f;  // 2^-60 to 2^60
  float repetition = 1.0f, inverse_repetition = 1.0f;
  float presence = 0.0f, frequency = 0.0f;
  uint64_t seed = 0;
};

namespace sampling_math {

OX_HOST_DEVICE inline uint32_t Bits(float x) { return std::bit_cast<uint32_t>(x); }
OX_HOST_DEVICE inline float FromBits(uint32_t bits) { return std::bit_cast<float>(bits); }

// One rounding each. nvcc would contract the operators; host compilers are told not to (-ffp-contract=off).
#if defined(__CUDA_ARCH__)
__device__ inline float Add(float a, float b) { return __fadd_rn(a, b); }
__device__ inline float Sub(float a, float b) { return __fadd_rn(a, -b); }
__device__ inline float Mul(float a, float b) { return __fmul_rn(a, b); }
#else
OX_HOST_DEVICE inline float Add(float a, float b) { return a + b; }
OX_HOST_DEVICE inline float Sub(float a, float b) { return a - b; }
OX_HOST_DEVICE inline float Mul(float a, float b) { return a * b; }
#endif

inline constexpr uint32_t kSign = 0x80000000u, kInfinity = 0x7f800000u;

OX_HOST_DEVICE inline bool IsFinite(float x) { return (Bits(x) & kInfinity) != kInfinity; }

// Subnormals to zero, infinities to the largest finite number: what a penalty's sum is between two steps.
OX_HOST_DEVICE inline float Settled(float x) {
  const uint32_t bits = Bits(x), magnitude = bits & ~kSign;
  if (magnitude < 0x00800000u) return 0.0f;
  return magnitude < kInfinity ? x : FromBits((bits & kSign) | (kInfinity - 1));
}

// The order of values as that of signed integers: -infinity (masked) first, -0 and +0 equal, subnormals
// apart.
OX_HOST_DEVICE inline int32_t ValueOrder(float value) {
  const auto bits = static_cast<int32_t>(Bits(value));
  return bits >= 0 ? bits : static_cast<int32_t>(kSign - static_cast<uint32_t>(bits));
}

// Likelier tokens have larger ranks; of equal values the lowest id has. No two tokens have the same.
OX_HOST_DEVICE inline uint64_t TokenRank(float value, int32_t token) {
  const uint32_t order = static_cast<uint32_t>(ValueOrder(value)) ^ kSign;
  return (uint64_t{order} << 32) | (0xffffffffu - static_cast<uint32_t>(token));
}
OX_HOST_DEVICE inline int32_t TokenOfRank(uint64_t rank) {
  return static_cast<int32_t>(0xffffffffu - static_cast<uint32_t>(rank));
}

// A logit after penalties; `count`: how often the token was fed, below 2^24 (a context is no longer).
OX_HOST_DEVICE inline float Penalized(float logit, int32_t count, const SamplingNumbers& numbers) {
  if (count == 0) return logit;
  float value = Settled(logit);
  value = Settled(Mul(value, value > 0.0f ? numbers.inverse_repetition : numbers.repetition));
  const float often = Settled(Mul(numbers.frequency, static_cast<float>(count)));
  return Settled(Sub(value, Settled(Add(numbers.presence, often))));
}

// exp(z) for z <= 0 (-infinity is allowed), within 2^-23 of it, never above 1, never falling where z rises;
// exp(0) is 1. Below -32, where no mass is left, it is exp(-32).
OX_HOST_DEVICE inline float ExpOfNegative(float z) {
  // The smaller of two sizes without a comparison, around which GCC would build branches:
  // loops over a row stay vectors.
  const auto most = static_cast<int32_t>(Bits(32.0f));
  const int32_t over = static_cast<int32_t>(Bits(z) & ~kSign) - most;
  z = FromBits(static_cast<uint32_t>(most + (over & (over >> 31))) | kSign);
  const auto n = static_cast<int32_t>(Sub(Mul(z, 0x1.715476p+0f), 0.5f));  // nearest to z / ln 2
  const auto times = static_cast<float>(n);
  // ln 2 in two parts, the first of 15 bits: |r| <= 0.3466
  const float r = Sub(Sub(z, Mul(times, 0x1.62e4p-1f)), Mul(times, 0x1.7f7d1cp-20f));
  float q = 0x1.6a2256p-10f;  // (exp(r) - 1 - r) / r^2, fitted to 3e-9
  q = Add(Mul(q, r), 0x1.123b02p-7f);
  q = Add(Mul(q, r), 0x1.5558f8p-5f);
  q = Add(Mul(q, r), 0x1.555490p-3f);
  q = Add(Mul(q, r), 0x1.fffffcp-2f);
  const float p = Add(1.0f, Add(r, Mul(Mul(r, r), q)));
  return FromBits(Bits(p) + (static_cast<uint32_t>(n) << 23));
}

// The weight of a token beside the likeliest one's, which is 1. `value`, `highest`: after penalties and mask.
OX_HOST_DEVICE inline float Weight(float value, float highest, float inverse_temperature) {
  return ExpOfNegative(Mul(Sub(value, highest), inverse_temperature));
}

OX_HOST_DEVICE inline uint64_t Mass(float weight) {
  const uint32_t bits = Bits(weight);
  const uint64_t mantissa = (bits & 0x007fffffu) | 0x00800000u;
  const int32_t shift =
      static_cast<int32_t>(bits >> 23) - 127 - 23 + kMassBits;  // -31 at exp(-32): none left
  if (shift >= 0) return mantissa << shift;
  return shift > -64 ? mantissa >> -shift : 0;  // 0 itself has a shift of -111
}

// What the smallest head of a top-p must reach: ceil(mass * top_p), at least 1, without a product of 128
// bits.
OX_HOST_DEVICE inline uint64_t TopPTarget(uint64_t mass, uint64_t top_p) {
  const uint64_t low = (mass & 0xffffffffu) * top_p;
  const uint64_t target = (mass >> 32) * top_p + (low >> 32) + ((low & 0xffffffffu) != 0);
  return target > 0 ? target : 1;
}

// The high half of a * b, from products of 32 bits.
OX_HOST_DEVICE inline uint64_t MultiplyHigh(uint64_t a, uint64_t b) {
  const uint64_t a0 = a & 0xffffffffu, a1 = a >> 32, b0 = b & 0xffffffffu, b1 = b >> 32;
  const uint64_t middle = a1 * b0 + ((a0 * b0) >> 32);
  const uint64_t other = a0 * b1 + (middle & 0xffffffffu);
  return a1 * b1 + (middle >> 32) + (other >> 32);
}

// The draw: a point in [0, mass). Kept tokens lie side by side in the order of their ids, each as long as its
// mass; drawn is the one that holds the point.
OX_HOST_DEVICE inline uint64_t DrawPoint(uint64_t seed, int64_t position, uint64_t mass) {
  constexpr uint64_t kSamplingStream = 1;
  const auto bits = RandomBits(seed, kSamplingStream, static_cast<uint64_t>(position));
  return MultiplyHigh((uint64_t{bits[0]} << 32) | bits[1], mass);
}

// ln(mass / 2^kMassBits) for mass >= 2^kMassBits (the likeliest token's own), within 2^-23 * (1 + it).
OX_HOST_DEVICE inline float LogOfMass(uint64_t mass) {
  int32_t exponent = 0;
  for (int32_t step = 32; step > 0; step >>= 1) {
    if ((mass >> (exponent + step)) != 0) exponent += step;
  }
  // 24 bits, the rest cut off; then into [sqrt(1/2), sqrt(2))
  const auto bits = static_cast<uint32_t>(mass >> (exponent - 23)) & 0x007fffffu;
  float x = FromBits(0x3f800000u | bits);
  if (bits > 0x003504f3u) {
    x = Mul(x, 0.5f);
    ++exponent;
  }
  x = Sub(x, 1.0f);
  float p = -0x1.3892fep-4f;  // (ln(1 + x) - x + x^2 / 2) / x^3, fitted to 1.4e-9
  p = Add(Mul(p, x), 0x1.0744d0p-3f);
  p = Add(Mul(p, x), -0x1.0e7f60p-3f);
  p = Add(Mul(p, x), 0x1.229c80p-3f);
  p = Add(Mul(p, x), -0x1.544e70p-3f);
  p = Add(Mul(p, x), 0x1.99a212p-3f);
  p = Add(Mul(p, x), -0x1.0002c8p-2f);
  p = Add(Mul(p, x), 0x1.555552p-2f);
  const float square = Mul(x, x);
  const float log = Add(x, Sub(Mul(Mul(square, x), p), Mul(0.5f, square)));
  const auto times = static_cast<float>(exponent - kMassBits);
  return Add(Mul(times, 0x1.62e4p-1f), Add(log, Mul(times, 0x1.7f7d1cp-20f)));
}

// A token's log-probability; `highest` and `log_of_mass` are those of the raw logits at temperature 1. A
// device may report one that differs by 2^-20 * (8 + |it|).
OX_HOST_DEVICE inline float LogProbability(float logit, float highest, float log_of_mass) {
  return Sub(Settled(Sub(logit, highest)), log_of_mass);
}

}  // namespace sampling_math
}  // namespace oxidized
