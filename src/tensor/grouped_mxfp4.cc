#include "tensor/grouped_mxfp4.h"

#include <cstring>

#include "tensor/float16.h"

namespace oxidized {
namespace {

constexpr auto kBytes = static_cast<size_t>(kMxfp4BlockBytes);

// 4 x 4 nibbles transposed: nibble j of word i becomes nibble i of word j.
uint64_t TransposeNibbles(uint64_t x) {
  const auto swap = [&](int distance, uint64_t those) {
    const uint64_t differ = (x ^ x >> distance) & those;
    x ^= differ ^ differ << distance;
  };
  swap(12, 0x0000F0F00000F0F0u);
  swap(24, 0x00000000FF00FF00u);
  return x;
}

// `from(b)`: where the codes of block b lie.
template <typename From>
void Group(From from, NibbleOrder order, size_t blocks, std::byte* to) {
  size_t b = 0;
  for (; b + 4 <= blocks; b += 4, to += 4 * kBytes) {
    uint16_t codes[4][8];  // of a block, elements 4 i … 4 i + 3
    for (size_t j = 0; j < 4; ++j) Mxfp4FromOrder(order, from(b + j), reinterpret_cast<std::byte*>(codes[j]));
    for (size_t i = 0; i < 8; ++i) {
      const uint64_t words = TransposeNibbles(uint64_t{codes[0][i]} | uint64_t{codes[1][i]} << 16 |
                                              uint64_t{codes[2][i]} << 32 | uint64_t{codes[3][i]} << 48);
      std::memcpy(to + i * 8, &words, 8);
    }
  }
  for (; b < blocks; ++b, to += kBytes) Mxfp4FromOrder(order, from(b), to);
}

}  // namespace

void GroupMxfp4Codes(std::byte* codes, int64_t num_blocks, std::vector<std::byte>& scratch) {
  const auto blocks = static_cast<size_t>(num_blocks);
  if (scratch.size() < blocks * kBytes) scratch.resize(blocks * kBytes);
  Group([&](size_t b) { return codes + b * kBytes; }, NibbleOrder::kPublished, blocks, scratch.data());
  std::memcpy(codes, scratch.data(), blocks * kBytes);
}

void GroupMxfp4Row(std::byte* row, NibbleOrder order, int64_t num_blocks, std::vector<std::byte>& scratch) {
  const auto blocks = static_cast<size_t>(num_blocks);
  constexpr size_t kStored = kBytes + 1;
  if (scratch.size() < blocks * kStored) scratch.resize(blocks * kStored);
  for (size_t b = 0; b < blocks; ++b) scratch[b] = row[b * kStored];
  Group([&](size_t b) { return row + b * kStored + 1; }, order, blocks, scratch.data() + blocks);
  std::memcpy(row, scratch.data(), blocks * kStored);
}

void DecodeGroupedMxfp4Row(const std::byte* codes, const std::byte* scales, int64_t blocks, float* out) {
  const int64_t grouped = blocks / 4 * 4;
  for (int64_t b = 0; b < blocks; ++b) {
    const auto scale = static_cast<uint8_t>(scales[b]);
    if (b >= grouped) {
      DecodeMxfp4Block(reinterpret_cast<const uint8_t*>(codes) + b * kMxfp4BlockBytes, scale, out + b * 32);
      continue;
    }
    for (int64_t i = 0; i < 32; ++i) {
      const auto word = LoadUnaligned<uint16_t>(codes + b / 4 * 64 + i * 2);
      out[b * 32 + i] = kMxfp4Values[word >> 4 * (b % 4) & 15] * E8m0ToFloat(scale);
    }
  }
}

}  // namespace oxidized
