#include "tensor/mxfp4.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "tensor/bytes.h"

namespace oxidized {

void DecodeMxfp4Block(const uint8_t* block, uint8_t scale, float* out) {
  const float factor = E8m0ToFloat(scale);
  for (int b = 0; b < kMxfp4BlockBytes; ++b) {
    out[2 * b] = kMxfp4Values[block[b] & 15] * factor;
    out[2 * b + 1] = kMxfp4Values[block[b] >> 4] * factor;
  }
}

void DecodeGgmlMxfp4Block(const uint8_t* block, uint8_t scale, float* out) {
  const float factor = E8m0ToFloat(scale);
  for (int b = 0; b < kMxfp4BlockBytes; ++b) {
    out[b] = kMxfp4Values[block[b] & 15] * factor;
    out[b + 16] = kMxfp4Values[block[b] >> 4] * factor;
  }
}

void Mxfp4ToGgmlOrder(const uint8_t* from, uint8_t* to) {
  for (int k = 0; k < 8; ++k) {
    to[2 * k] = static_cast<uint8_t>((from[k] & 15) | (from[k + 8] & 15) << 4);
    to[2 * k + 1] = static_cast<uint8_t>((from[k] >> 4) | (from[k + 8] >> 4) << 4);
  }
}

namespace {

// The low nibbles of eight bytes, side by side.
uint32_t LowNibbles(uint64_t x) {
  x &= 0x0F0F0F0F0F0F0F0Fu;
  return EvenBytes(x | x >> 4);
}

}  // namespace

void Mxfp4FromGgmlOrder(const uint8_t* from, uint8_t* to) {
  uint64_t halves[2];
  std::memcpy(halves, from, sizeof(halves));
  const uint32_t words[4] = {LowNibbles(halves[0]), LowNibbles(halves[1]), LowNibbles(halves[0] >> 4),
                             LowNibbles(halves[1] >> 4)};
  std::memcpy(to, words, sizeof(words));
}

void Mxfp4FromOrder(NibbleOrder order, const std::byte* from, std::byte* to) {
  if (order == NibbleOrder::kPublished) {
    std::memcpy(to, from, kMxfp4BlockBytes);
  } else {
    Mxfp4FromGgmlOrder(reinterpret_cast<const uint8_t*>(from), reinterpret_cast<uint8_t*>(to));
  }
}

uint8_t EncodeMxfp4Block(const float* values, uint8_t* block) {
  float largest = 0.0f;
  for (int i = 0; i < kMxfp4BlockElements; ++i) largest = std::max(largest, std::fabs(values[i]));
  const int exponent = largest > 0.0f ? std::clamp(std::ilogb(largest) - 2, -127, 127) : -127;

  // In doubles, where scaling by a power of two is exact. A value on the middle between two codes takes the
  // even one, so every second comparison includes equality.
  const double factor = std::ldexp(1.0, -exponent);
  uint8_t codes[kMxfp4BlockElements];
  for (int i = 0; i < kMxfp4BlockElements; ++i) {
    const double m = std::fabs(static_cast<double>(values[i])) * factor;
    const int code = (m > 0.25) + (m >= 0.75) + (m > 1.25) + (m >= 1.75) + (m > 2.5) + (m >= 3.5) + (m > 5.0);
    codes[i] = static_cast<uint8_t>(code | (std::signbit(values[i]) ? 8 : 0));
  }
  for (int b = 0; b < kMxfp4BlockBytes; ++b) {
    block[b] = static_cast<uint8_t>(codes[2 * b] | codes[2 * b + 1] << 4);
  }
  return static_cast<uint8_t>(exponent + 127);
}

}  // namespace oxidized
