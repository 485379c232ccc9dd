// How weight matrices lie on the card: units of 8 rows x C columns as operand A of mma.sync m16n8k16, each
// one contiguous run of bytes (docs/cuda.md, "Loops at full rate"). Plain arithmetic for host and device; the
// packing kernels and the products go by it, layout_test.cc holds it to tensor/.
//
// Rows 0..7 of the instruction's 16 are the unit's rows over the first half of its columns, rows 8..15 the
// same rows over the second half. 32 columns of one half (two steps) lie in a lane as 8 columns in a row, so
// inputs need no rearranging: lane 4 g + t meets columns 32 j + 8 t .. + 7 of each half.
#pragma once

#include <cstdint>

#include "base/host_device.h"

namespace oxidized::cuda {

inline constexpr int kUnitRows = 8;
inline constexpr int kColumnGranule = 64;  // a unit has a multiple of these, columns are padded to them

enum class Form : int32_t {
  kBf16Planes,  // a value is the sum of 1 to 3 bf16: exact for bf16 (1), f16 (2), f32 and Q8_0 (3)
  kMxfp4,
};

OX_HOST_DEVICE constexpr int RoundUp(int n, int granule) { return (n + granule - 1) / granule * granule; }
OX_HOST_DEVICE constexpr int PaddedColumns(int64_t cols) {
  return RoundUp(static_cast<int>(cols), kColumnGranule);
}

// Columns of a unit: the most up to 320 (MXFP4: 960) that divide the padded columns. 2880: 320 and 960; 4096:
// 256.
OX_HOST_DEVICE constexpr int UnitColumns(Form form, int padded_cols) {
  const int most = (form == Form::kMxfp4 ? 960 : 320) / kColumnGranule,
            granules = padded_cols / kColumnGranule;
  for (int n = most; n > 1; --n) {
    if (granules % n == 0) return n * kColumnGranule;
  }
  return kColumnGranule;
}

OX_HOST_DEVICE constexpr int StepsOf(int unit_cols) {
  return unit_cols / 32;
}  // instructions, 4 tokens at most
// MXFP4: 2 bytes of scales for each row and pair of steps, a row's padded to 16 bytes.
OX_HOST_DEVICE constexpr int ScaleBytesOfRow(int steps) { return RoundUp(steps, 16); }
OX_HOST_DEVICE constexpr int UnitBytes(Form form, int unit_cols) {
  const int steps = StepsOf(unit_cols);
  return form == Form::kMxfp4 ? steps * 128 + kUnitRows * ScaleBytesOfRow(steps) : steps * 512;
}

// A matrix [rows, cols] as the products see it. The unit of a group of 8 rows, a chunk of columns and a plane
// begins at ((group * chunks + chunk) * planes + plane) * unit_bytes.
struct Matrix {
  const uint8_t* units;
  int32_t rows, groups;  // groups: of 8 rows, the last one padded
  int32_t cols;          // padded
  int32_t unit_cols, chunks, unit_bytes, planes;
  Form form;

  OX_HOST_DEVICE int64_t bytes() const { return int64_t{groups} * chunks * planes * unit_bytes; }
};
OX_HOST_DEVICE constexpr Matrix MatrixOf(Form form, int planes, int64_t rows, int64_t cols) {
  Matrix m = {};
  m.rows = static_cast<int32_t>(rows);
  m.groups = (m.rows + kUnitRows - 1) / kUnitRows;
  m.cols = PaddedColumns(cols);
  m.unit_cols = UnitColumns(form, m.cols);
  m.chunks = m.cols / m.unit_cols;
  m.unit_bytes = UnitBytes(form, m.unit_cols);
  m.planes = planes;
  m.form = form;
  return m;
}

// --- The place of a value in its unit.

struct Place {
  int step, lane, reg, half;  // register a<reg> of the lane in that step, low or high 16 bits
};
OX_HOST_DEVICE constexpr Place PlaceOf(int row, int col, int unit_cols) {
  const int second = col >= unit_cols / 2 ? 1 : 0, c = col - second * (unit_cols / 2);
  const int in_pair = c % 32, in_lane = in_pair % 8;
  return {c / 32 * 2 + in_lane / 4, row * 4 + in_pair / 8, in_lane / 2 % 2 * 2 + second, in_lane % 2};
}
// The other way: which column of the unit a lane's register half holds; its row is lane / 4.
OX_HOST_DEVICE constexpr int ColumnOf(int step, int lane, int reg, int half, int unit_cols) {
  return (reg % 2) * (unit_cols / 2) + step / 2 * 32 + lane % 4 * 8 + step % 2 * 4 + reg / 2 * 2 + half;
}

OX_HOST_DEVICE constexpr int Bf16ByteAt(int step, int lane) {
  return step * 512 + lane * 16;
}  // 4 words of 4

// MXFP4: a word of 8 codes a lane and step; four steps in a row where four are left, so that a lane reads 16
// bytes.
OX_HOST_DEVICE constexpr int CodesByteAt(int step, int lane, int steps) {
  const int four = step / 4;
  return four * 512 + lane * (four * 4 + 4 <= steps ? 16 : 8) + step % 4 * 4;
}
OX_HOST_DEVICE constexpr int ScaleByteAt(int row, int pair, int second, int steps) {
  return steps * 128 + row * ScaleBytesOfRow(steps) + pair * 2 + second;
}

// --- MXFP4 codes as bits of bf16.

// Bit of the word for bit 0 (mantissa) to 3 (sign) of the code of register a<reg>, half `half`: where a shift
// or a rotation brings it to bits 6, 7, 8 and 15 of a half word, the pattern of bf16.
OX_HOST_DEVICE constexpr int CodeBitAt(int reg, int half, int bit) {
  const int at = (bit == 3 ? 15 : 6 + bit) + 16 * half;
  if (reg == 0) return at;
  if (reg == 1) return at - 4;
  if (reg == 2) return (at + 6) % 32;
  return bit == 2 ? at + 2 : at - 6;
}
OX_HOST_DEVICE constexpr uint32_t PlacedCode(uint32_t code, int reg, int half) {
  uint32_t word = 0;
  for (int bit = 0; bit < 4; ++bit) word |= (code >> bit & 1u) << CodeBitAt(reg, half, bit);
  return word;
}
// The two codes of register a<reg>, each as the bf16 of its value times 2^-126.
OX_HOST_DEVICE constexpr uint32_t CodesAsBf16(uint32_t word, int reg) {
  constexpr uint32_t kMask = 0x81C081C0u;
  if (reg == 0) return word & kMask;
  if (reg == 1) return word << 4 & kMask;
  if (reg == 2) return (word >> 6 | word << 26) & kMask;
  return (word << 6 & 0x80C080C0u) | (word >> 2 & 0x01000100u);
}
// The products multiply that by 2^(scale - 1), whose bf16 exponent is scale + 126: exact for all codes.
// Larger scale bytes do not fit; the loader stores a matrix that has one as bf16.
inline constexpr int kMostScale = 128;
OX_HOST_DEVICE constexpr uint8_t StoredScale(uint8_t scale) { return static_cast<uint8_t>(scale + 126); }

}  // namespace oxidized::cuda
