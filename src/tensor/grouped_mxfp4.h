// Rows of MXFP4 with the blocks of each row grouped by fours: what a shuffle of 16-bit lanes wants, which
// then needs a shift and a look-up for 32 values. As many bytes as before and in the same place: only weights
// in memory of our own are rearranged, once. Read by the bf16_* kernels through pointers, by ExpertView row
// by row.
//
// A row of `blocks` blocks: its scales [blocks], unless they lie in a matrix of their own, then its codes
// [blocks * 16 bytes]. 64 bytes of codes are four blocks: word i (16 bits) holds element i of each, that of
// the first block lowest. Up to three blocks at the end of a row stay in the published order
// (tensor/mxfp4.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tensor/mxfp4.h"

namespace oxidized {

// Rearranges a row where it lies; `scratch` grows to its size. With scales apart, `codes` only:
void GroupMxfp4Codes(std::byte* codes, int64_t blocks, std::vector<std::byte>& scratch);
// each block behind its scale byte:
void GroupMxfp4Row(std::byte* row, NibbleOrder order, int64_t blocks, std::vector<std::byte>& scratch);

// A row widened to f32, out [32 * blocks].
void DecodeGroupedMxfp4Row(const std::byte* codes, const std::byte* scales, int64_t blocks, float* out);

}  // namespace oxidized
