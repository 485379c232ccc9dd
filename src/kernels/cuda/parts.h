// Values as sums of bf16, for products of more than bf16 inputs on tensor cores that take bf16 alone: an f32
// is exactly three, an f16 two. The parts are cut, not rounded, so nothing overflows; the rest below 2^-133
// of a tiny value is lost.
#pragma once

#include <bit>
#include <cstdint>

#include "base/host_device.h"

namespace oxidized::cuda {

OX_HOST_DEVICE inline float FromBf16(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

// To nearest, ties to even; a NaN stays one. Equals FloatToBf16 of tensor/float16.h.
OX_HOST_DEVICE inline uint16_t ToBf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

// The high 8 bits of the value as bf16; `value` becomes the rest. What is not finite has no rest.
OX_HOST_DEVICE inline uint16_t TakePart(float& value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7F800000u) == 0x7F800000u) {
    value = 0.0f;
    return static_cast<uint16_t>((bits >> 16) | ((bits & 0x007FFFFFu) != 0 ? 0x40u : 0u));
  }
  const auto high = static_cast<uint16_t>(bits >> 16);
  value -= FromBf16(high);
  return high;
}

// value = the sum of parts, as far as kParts of them hold it; one part is rounded.
template <int kParts>
OX_HOST_DEVICE inline void SplitInto(float value, uint16_t (&parts)[kParts]) {
  if constexpr (kParts == 1) {
    parts[0] = ToBf16(value);
  } else {
    for (int p = 0; p < kParts; ++p) parts[p] = TakePart(value);
  }
}

}  // namespace oxidized::cuda
