#include "tensor/mxfp4.h"

#include <algorithm>
#include <cmath>

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

void Mxfp4FromGgmlOrder(const uint8_t* from, uint8_t* to) {
  for (int k = 0; k < 8; ++k) {
    to[k] = static_cast<uint8_t>((from[2 * k] & 15) | (from[2 * k + 1] & 15) << 4);
    to[k + 8] = static_cast<uint8_t>((from[2 * k] >> 4) | (from[2 * k + 1] >> 4) << 4);
  }
}

uint8_t EncodeMxfp4Block(const float* values, uint8_t* block) {
  float largest = 0.0f;
  for (int i = 0; i < kMxfp4BlockElements; ++i) largest = std::max(largest, std::fabs(values[i]));
  const int exponent = largest > 0.0f ? std::clamp(std::ilogb(largest) - 2, -127, 127) : -127;

  std::fill_n(block, kMxfp4BlockBytes, uint8_t{0});
  for (int i = 0; i < kMxfp4BlockElements; ++i) {
    // Doubles: scaling by a power of two and the distances below are exact.
    const double magnitude = std::ldexp(std::fabs(static_cast<double>(values[i])), -exponent);
    int best = 0;
    for (int code = 1; code < 8; ++code) {
      const double closer = std::fabs(magnitude - static_cast<double>(kMxfp4Values[code])) -
                            std::fabs(magnitude - static_cast<double>(kMxfp4Values[best]));
      if (closer < 0.0 || (closer == 0.0 && code % 2 == 0)) best = code;
    }
    const int code = best | (std::signbit(values[i]) ? 8 : 0);
    block[i / 2] = static_cast<uint8_t>(block[i / 2] | (i % 2 == 0 ? code : code << 4));
  }
  return static_cast<uint8_t>(exponent + 127);
}

}  // namespace oxidized
