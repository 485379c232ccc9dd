// MXFP4 (OCP Microscaling Formats v1.0): blocks of 32 elements of 4 bits (E2M1) sharing one power-of-two
// scale (E8M0). The scalar truth that every kernel is compared with. Nibble order is that of the published
// safetensors: byte b of a block holds element 2b in its low and element 2b+1 in its high nibble.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "tensor/expert_layout.h"

namespace oxidized {

inline constexpr int kMxfp4BlockElements = 32;
inline constexpr int kMxfp4BlockBytes = 16;  // without its scale byte

inline constexpr float kMxfp4Values[16] = {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                                           -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};

// 2^(scale - 127), exact for every byte but 255, which OCP defines as NaN (as here) and a strict loader
// rejects.
inline float E8m0ToFloat(uint8_t scale) {
  if (scale == 0) return 0x1.0p-127f;
  if (scale == 255) return std::bit_cast<float>(0x7FC00000u);
  return std::bit_cast<float>(static_cast<uint32_t>(scale) << 23);
}

inline float Mxfp4Element(const uint8_t* block, uint8_t scale, int i) {
  const uint8_t byte = block[i / 2];
  return kMxfp4Values[i % 2 == 0 ? byte & 15 : byte >> 4] * E8m0ToFloat(scale);
}

// out[0..31] = the block's values.
void DecodeMxfp4Block(const uint8_t* block, uint8_t scale, float* out);

// The same of a block in ggml's nibble order: byte b holds element b in its low and element b + 16 in its
// high nibble. (ggml reads code 8 as +0 and scale 255 as 2^128; here they mean the same as in safetensors.)
void DecodeGgmlMxfp4Block(const uint8_t* block, uint8_t scale, float* out);

// The 16 bytes of a block moved between the two nibble orders; `from` and `to` do not overlap.
void Mxfp4ToGgmlOrder(const uint8_t* from, uint8_t* to);
void Mxfp4FromGgmlOrder(const uint8_t* from, uint8_t* to);
void Mxfp4FromOrder(NibbleOrder order, const std::byte* from, std::byte* to);  // to the published one

// Quantises 32 finite values: scale exponent floor(log2(max|x|)) - 2, nearest code by absolute error, ties to
// the even code (OCP MX v1.0 §6.3). A block whose values already are MXFP4 is reproduced exactly. Returns the
// scale byte.
uint8_t EncodeMxfp4Block(const float* values, uint8_t* block);

}  // namespace oxidized
