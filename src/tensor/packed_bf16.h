// A bf16 matrix in 12 bits a value, without loss. The low byte of each value (the last bit of its exponent
// and its mantissa) is kept; its high byte (sign and the rest of the exponent) becomes an index into a table
// of the 16 commonest high bytes of the matrix. Trained weights of one matrix lie within some 16 binades, so
// blocks with a rarer high byte are few: these are kept aside as they were.
//
// A row of K values (K a multiple of 32) is K/32 blocks of 48 bytes: 32 low bytes, then 16 bytes of indices
// (byte i: value i in the low, value i + 16 in the high nibble).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace oxidized {

inline constexpr int64_t kPackedBlockValues = 32;
inline constexpr int64_t kPackedBlockBytes = 48;

// What a kernel reads. Pointers into a PackedBf16.
struct PackedBf16View {
  const std::byte* blocks = nullptr;  // [rows, cols/32, 48]
  const uint64_t* escaped = nullptr;  // [rows, EscapeWords(cols)] bit b: block b of the row is kept aside
  const uint32_t* first_escape = nullptr;  // [rows] index into `escapes` of the row's first such block
  const std::byte* escapes = nullptr;      // [., 64] blocks as they were
  std::array<uint8_t, 16> high_bytes{};    // the table
};

inline int64_t PackedEscapeWords(int64_t cols) { return (cols / kPackedBlockValues + 63) / 64; }

inline constexpr int64_t kPackedEscapeBytes = kPackedBlockValues * 2;

// How a packed matrix lies in memory and in files: `escaped` first, then the others, each from a multiple of
// 64 bytes on; the blocks kept aside follow behind, or lie elsewhere.
struct PackedBf16Layout {
  int64_t first_escape, blocks;  // offsets
  int64_t bytes;                 // without the blocks kept aside
};
// rows and cols below 2^31, cols a multiple of 32.
PackedBf16Layout LayoutOfPackedBf16(int64_t rows, int64_t cols);
PackedBf16View ViewOfPackedBf16(const std::byte* data, const std::byte* escapes, int64_t rows, int64_t cols,
                                const std::array<uint8_t, 16>& high_bytes);

// Whether all that a reader of the rows follows stays within `num_escapes` blocks kept aside, and every one
// of these belongs to a row: for what comes out of a file.
bool EscapesAreSound(const PackedBf16View& packed, int64_t rows, int64_t cols, int64_t num_escapes);

// The 16 commonest high bytes; the rest of the table repeats the first. `counts` [256].
std::array<uint8_t, 16> CommonHighBytes(std::span<const int64_t> counts);
// Adds to counts [256] the high bytes of n values at `values`.
void CountHighBytes(const std::byte* values, int64_t n, std::span<int64_t> counts);

// Packs one row of `cols` values: fills its blocks [cols/32, 48] and its words of `escaped`, and appends the
// blocks that do not fit the table to `escapes`, 64 bytes each.
void PackBf16Row(const std::byte* values, int64_t cols, const std::array<uint8_t, 16>& high_bytes,
                 std::byte* blocks, uint64_t* escaped, std::vector<std::byte>& escapes);

// Row r as bf16 again, out [cols * 2] bytes: the truth for kernels.
void UnpackBf16Row(const PackedBf16View& packed, int64_t r, int64_t cols, std::byte* out);

}  // namespace oxidized
