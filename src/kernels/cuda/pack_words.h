// One word of a unit from the values that it holds: what the packing kernels do for each of their threads,
// and what tests on the host hold to tensor/.
#pragma once

#include <cstdint>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/layout.h"
#include "kernels/cuda/parts.h"

namespace oxidized::cuda {

// bits_at(row, col) of the unit: a bf16.
template <class BitsAt>
OX_HOST_DEVICE inline uint32_t Bf16Word(int word, int unit_cols, const BitsAt& bits_at) {
  const int step = word / 128, lane = word / 4 % 32, reg = word % 4;
  uint32_t out = 0;
  for (int half = 0; half < 2; ++half)
    out |= static_cast<uint32_t>(bits_at(lane / 4, ColumnOf(step, lane, reg, half, unit_cols)))
           << (16 * half);
  return out;
}

// code_at(row, col), scale_at(row, col): 4 bits, and the scale byte of the block that holds the column.
template <class CodeAt, class ScaleAt>
OX_HOST_DEVICE inline uint32_t Mxfp4Word(int word, int unit_cols, const CodeAt& code_at,
                                         const ScaleAt& scale_at) {
  const int steps = StepsOf(unit_cols);
  uint32_t out = 0;
  if (word < steps * 32) {
    const bool in_fours = word / 128 < steps / 4;  // four steps in a row, else two
    const int each = in_fours ? 4 : 2, in_run = word % 128;
    const int step = word / 128 * 4 + in_run % each, lane = in_run / each;
    for (int reg = 0; reg < 4; ++reg) {
      for (int half = 0; half < 2; ++half)
        out |= PlacedCode(code_at(lane / 4, ColumnOf(step, lane, reg, half, unit_cols)), reg, half);
    }
    return out;
  }
  const int of_row = ScaleBytesOfRow(steps), byte = (word - steps * 32) * 4, row = byte / of_row;
  for (int i = 0; i < 4; ++i) {
    const int at = byte % of_row + i, pair = at / 2, second = at % 2;
    if (pair >= steps / 2) break;
    const uint8_t scale = scale_at(row, second * (unit_cols / 2) + pair * 32);
    out |= static_cast<uint32_t>(StoredScale(scale)) << (8 * i);
  }
  return out;
}

// Part `plane` of `planes` of value i; exact in as many planes as the type needs.
OX_HOST_DEVICE inline float StoredValue(const void* from, Source type, int64_t i) {
  if (type == Source::kF32) return static_cast<const float*>(from)[i];
  const uint16_t bits = static_cast<const uint16_t*>(from)[i];
  if (type == Source::kBf16) return FromBf16(bits);
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16, exponent = bits >> 10 & 31u,
                 rest = bits & 1023u;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000u | rest << 13);
  if (exponent == 0) {
    const float tiny = static_cast<float>(rest) * 0x1p-24f;
    return sign != 0 ? -tiny : tiny;
  }
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | rest << 13);
}
OX_HOST_DEVICE inline uint16_t PartOfStored(const void* from, Source type, int64_t i, int planes, int plane) {
  if (type == Source::kBf16 && planes == 1) return static_cast<const uint16_t*>(from)[i];
  float rest = StoredValue(from, type, i);
  uint16_t part = 0;
  for (int p = 0; p <= plane; ++p) part = TakePart(rest);
  return part;
}

}  // namespace oxidized::cuda
