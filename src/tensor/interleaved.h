// Rows of MXFP4 and Q8_0 interleaved, 32 at a time: what vectors want whose lanes are rows (8-bit products),
// so that no product has to transpose. As many bytes as before and in the same place: only weights in memory
// of our own are rearranged, once. Read by the int8_* kernels through pointers, by MatrixView and ExpertView
// row by row.
//
// A panel is 32 rows of `blocks` blocks of 32 elements. First its codes, word (4 bytes) by word:
// [blocks][words of a block][32 rows][4]; then its scales [blocks][32 rows].
//  * MXFP4 (1 byte of scale; four words): byte i of word j holds element 8j + 2i low, 8j + 2i + 1 high.
//  * Q8_0 (2 bytes of scale, f16; eight words): byte i of word q holds element 8 (q / 2) + q % 2 + 2i.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tensor/mxfp4.h"

namespace oxidized {

inline constexpr int64_t kInterleavedRows = 32;

// Where a panel's codes and scales lie.
struct InterleavedPanel {
  const std::byte* codes;
  const std::byte* scales;
};

// The panels of 32 rows that begin at `rows`, each row `blocks` blocks, rearranged where they lie; `scratch`
// grows to a panel's size. MXFP4 with its scales apart (`scales` [32, blocks]), always in the published
// order:
void InterleaveMxfp4(std::byte* codes, std::byte* scales, int64_t blocks, std::vector<std::byte>& scratch);
// with each block behind its scale byte:
void InterleaveMxfp4(std::byte* rows, NibbleOrder order, int64_t blocks, std::vector<std::byte>& scratch);
void InterleaveQ8(std::byte* rows, int64_t blocks, std::vector<std::byte>& scratch);

// Row r of a panel widened to f32, out [32 * blocks].
void DecodeInterleavedMxfp4Row(const InterleavedPanel& panel, int64_t r, int64_t blocks, float* out);
void DecodeInterleavedQ8Row(const InterleavedPanel& panel, int64_t r, int64_t blocks, float* out);

// Panel p of a matrix that begins at `values`: the scales behind the codes, or in a matrix of their own.
inline InterleavedPanel InterleavedMxfp4Panel(const std::byte* values, const std::byte* scales, int64_t p,
                                              int64_t blocks) {
  const int64_t codes_bytes = blocks * kInterleavedRows * 16, scales_bytes = blocks * kInterleavedRows;
  if (scales != nullptr) return {values + p * codes_bytes, scales + p * scales_bytes};
  const std::byte* panel = values + p * (codes_bytes + scales_bytes);
  return {panel, panel + codes_bytes};
}
inline InterleavedPanel InterleavedQ8Panel(const std::byte* values, int64_t p, int64_t blocks) {
  const int64_t codes_bytes = blocks * kInterleavedRows * 32, scales_bytes = blocks * kInterleavedRows * 2;
  const std::byte* panel = values + p * (codes_bytes + scales_bytes);
  return {panel, panel + codes_bytes};
}

}  // namespace oxidized
