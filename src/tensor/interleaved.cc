#include "tensor/interleaved.h"

#include <cstring>

#include "tensor/bytes.h"
#include "tensor/float16.h"

namespace oxidized {
namespace {

constexpr auto kRows = static_cast<size_t>(kInterleavedRows);

uint64_t Load8(const std::byte* p) { return LoadUnaligned<uint64_t>(p); }

void PutWord(uint32_t word, size_t place, std::byte* panel) { std::memcpy(panel + place * 4, &word, 4); }

std::byte* Fit(std::vector<std::byte>& scratch, size_t bytes) {
  if (scratch.size() < bytes) scratch.resize(bytes);
  return scratch.data();
}

// `from(r, b)` is where a block's codes lie.
template <typename From>
void InterleaveCodes(From from, NibbleOrder order, size_t blocks, std::byte* to) {
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t b = 0; b < blocks; ++b) {
      uint32_t words[4];
      Mxfp4FromOrder(order, from(r, b), reinterpret_cast<std::byte*>(words));
      for (size_t j = 0; j < 4; ++j) PutWord(words[j], (b * 4 + j) * kRows + r, to);
    }
  }
}

}  // namespace

void InterleaveMxfp4(std::byte* codes, std::byte* scales, int64_t num_blocks,
                     std::vector<std::byte>& scratch) {
  const auto blocks = static_cast<size_t>(num_blocks);
  const size_t codes_bytes = kRows * blocks * kMxfp4BlockBytes;
  std::byte* to = Fit(scratch, codes_bytes);
  InterleaveCodes([&](size_t r, size_t b) { return codes + (r * blocks + b) * kMxfp4BlockBytes; },
                  NibbleOrder::kPublished, blocks, to);
  std::memcpy(codes, to, codes_bytes);
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t b = 0; b < blocks; ++b) to[b * kRows + r] = scales[r * blocks + b];
  }
  std::memcpy(scales, to, kRows * blocks);
}

void InterleaveMxfp4(std::byte* rows, NibbleOrder order, int64_t num_blocks,
                     std::vector<std::byte>& scratch) {
  const auto blocks = static_cast<size_t>(num_blocks);
  constexpr size_t kStored = kMxfp4BlockBytes + 1;
  std::byte* to = Fit(scratch, kRows * blocks * kStored);
  std::byte* scales = to + kRows * blocks * kMxfp4BlockBytes;
  InterleaveCodes([&](size_t r, size_t b) { return rows + (r * blocks + b) * kStored + 1; }, order, blocks,
                  to);
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t b = 0; b < blocks; ++b) scales[b * kRows + r] = rows[(r * blocks + b) * kStored];
  }
  std::memcpy(rows, to, kRows * blocks * kStored);
}

void InterleaveQ8(std::byte* rows, int64_t num_blocks, std::vector<std::byte>& scratch) {
  const auto blocks = static_cast<size_t>(num_blocks);
  constexpr size_t kStored = 34, kCodes = 32;
  std::byte* to = Fit(scratch, kRows * blocks * kStored);
  std::byte* scales = to + kRows * blocks * kCodes;
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t b = 0; b < blocks; ++b) {
      const std::byte* block = rows + (r * blocks + b) * kStored;
      std::memcpy(scales + (b * kRows + r) * 2, block, 2);
      for (size_t j = 0; j < 4; ++j) {
        const uint64_t eight = Load8(block + 2 + j * 8);
        PutWord(EvenBytes(eight), (b * 8 + 2 * j) * kRows + r, to);
        PutWord(EvenBytes(eight >> 8), (b * 8 + 2 * j + 1) * kRows + r, to);
      }
    }
  }
  std::memcpy(rows, to, kRows * blocks * kStored);
}

void DecodeInterleavedMxfp4Row(const InterleavedPanel& panel, int64_t r, int64_t blocks, float* out) {
  for (int64_t b = 0; b < blocks; ++b) {
    uint8_t block[kMxfp4BlockBytes];
    for (int64_t j = 0; j < 4; ++j)
      std::memcpy(block + j * 4, panel.codes + ((b * 4 + j) * kInterleavedRows + r) * 4, 4);
    DecodeMxfp4Block(block, static_cast<uint8_t>(panel.scales[b * kInterleavedRows + r]), out + b * 32);
  }
}

void DecodeInterleavedQ8Row(const InterleavedPanel& panel, int64_t r, int64_t blocks, float* out) {
  for (int64_t b = 0; b < blocks; ++b) {
    const float scale = F16ToFloat(LoadUnaligned<uint16_t>(panel.scales + (b * kInterleavedRows + r) * 2));
    for (int64_t q = 0; q < 8; ++q) {
      for (int64_t i = 0; i < 4; ++i) {
        const auto code = static_cast<int8_t>(panel.codes[((b * 8 + q) * kInterleavedRows + r) * 4 + i]);
        out[b * 32 + q / 2 * 8 + q % 2 + 2 * i] = static_cast<float>(code) * scale;
      }
    }
  }
}

}  // namespace oxidized
