#include "tensor/packed_bf16.h"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace oxidized {

std::array<uint8_t, 16> CommonHighBytes(std::span<const int64_t> counts) {
  std::array<int, 256> order;
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    return counts[static_cast<size_t>(a)] > counts[static_cast<size_t>(b)];
  });
  std::array<uint8_t, 16> table;
  for (size_t i = 0; i < table.size(); ++i) table[i] = static_cast<uint8_t>(order[i]);
  return table;
}

void CountHighBytes(const std::byte* values, int64_t n, std::span<int64_t> counts) {
  // Four histograms: neighbours often share a byte, and one counter would wait for itself.
  std::array<std::array<int64_t, 256>, 4> parts{};
  int64_t i = 0;
  for (; i + 4 <= n; i += 4) {
    for (int64_t j = 0; j < 4; ++j)
      ++parts[static_cast<size_t>(j)][static_cast<size_t>(values[2 * (i + j) + 1])];
  }
  for (; i < n; ++i) ++parts[0][static_cast<size_t>(values[2 * i + 1])];
  for (const auto& part : parts) {
    for (size_t b = 0; b < 256; ++b) counts[b] += part[b];
  }
}

void PackBf16Row(const std::byte* values, int64_t cols, const std::array<uint8_t, 16>& high_bytes,
                 std::byte* blocks, uint64_t* escaped, std::vector<std::byte>& escapes) {
  constexpr uint8_t kNone = 0x80;
  std::array<uint8_t, 256> index;
  index.fill(kNone);
  for (size_t i = high_bytes.size(); i-- > 0;) index[high_bytes[i]] = static_cast<uint8_t>(i);

  std::fill_n(escaped, PackedEscapeWords(cols), uint64_t{0});
  for (int64_t b = 0; b < cols / kPackedBlockValues; ++b) {
    const auto* from = reinterpret_cast<const uint8_t*>(values + b * kPackedBlockValues * 2);
    auto* low = reinterpret_cast<uint8_t*>(blocks + b * kPackedBlockBytes);
    uint8_t* indices = low + kPackedBlockValues;
    uint8_t seen = 0;
    for (int i = 0; i < 16; ++i) {
      const uint8_t a = index[from[2 * i + 1]], c = index[from[2 * (i + 16) + 1]];
      low[i] = from[2 * i];
      low[i + 16] = from[2 * (i + 16)];
      indices[i] = static_cast<uint8_t>((a & 15) | (c & 15) << 4);
      seen |= a | c;
    }
    if ((seen & kNone) == 0) continue;
    escaped[b / 64] |= uint64_t{1} << (b % 64);
    const auto* block = values + b * kPackedBlockValues * 2;
    escapes.insert(escapes.end(), block, block + kPackedBlockValues * 2);
  }
}

void UnpackBf16Row(const PackedBf16View& packed, int64_t r, int64_t cols, std::byte* out) {
  const int64_t count = cols / kPackedBlockValues;
  const uint64_t* escaped = packed.escaped + r * PackedEscapeWords(cols);
  const std::byte* aside = packed.escapes + int64_t{packed.first_escape[r]} * kPackedBlockValues * 2;
  for (int64_t b = 0; b < count; ++b, out += kPackedBlockValues * 2) {
    if ((escaped[b / 64] >> (b % 64) & 1) != 0) {
      std::memcpy(out, aside, kPackedBlockValues * 2);
      aside += kPackedBlockValues * 2;
      continue;
    }
    const auto* low = reinterpret_cast<const uint8_t*>(packed.blocks + (r * count + b) * kPackedBlockBytes);
    const uint8_t* indices = low + kPackedBlockValues;
    for (int i = 0; i < 32; ++i) {
      const int index = i < 16 ? indices[i] & 15 : indices[i - 16] >> 4;
      out[2 * i] = std::byte{low[i]};
      out[2 * i + 1] = std::byte{packed.high_bytes[static_cast<size_t>(index)]};
    }
  }
}

}  // namespace oxidized
