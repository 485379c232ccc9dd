#include "tensor/grouped_mxfp4.h"

#include <cstring>

#include "tensor/float16.h"

namespace oxidized {
namespace {

constexpr auto kBytes = static_cast<size_t>(kMxfp4BlockBytes);

// The codes of a block's 32 elements, four bits each, 16 elements a word.
struct Codes {
  uint64_t of[2];
};
Codes CodesOf(const std::byte* block, NibbleOrder order) {
  uint8_t published[kBytes];
  std::memcpy(published, block, kBytes);
  if (order == NibbleOrder::kGgml) Mxfp4FromGgmlOrder(reinterpret_cast<const uint8_t*>(block), published);
  Codes codes;
  std::memcpy(codes.of, published, kBytes);
  return codes;
}

// Nibbles 0..3 of x, one to each 16-bit word.
uint64_t Spread(uint64_t x) { return (x & 0xF) | (x & 0xF0) << 12 | (x & 0xF00) << 24 | (x & 0xF000) << 36; }

// `from(b)`: where the codes of block b lie.
template <typename From>
void Group(From from, NibbleOrder order, size_t blocks, std::byte* to) {
  size_t b = 0;
  for (; b + 4 <= blocks; b += 4, to += 4 * kBytes) {
    Codes codes[4];
    for (size_t j = 0; j < 4; ++j) codes[j] = CodesOf(from(b + j), order);
    for (size_t four = 0; four < 8; ++four) {  // elements 4 four … 4 four + 3
      uint64_t words = 0;
      for (size_t j = 0; j < 4; ++j) words |= Spread(codes[j].of[four / 4] >> four % 4 * 16) << 4 * j;
      std::memcpy(to + four * 8, &words, 8);
    }
  }
  for (; b < blocks; ++b, to += kBytes) {
    const Codes codes = CodesOf(from(b), order);
    std::memcpy(to, codes.of, kBytes);
  }
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
