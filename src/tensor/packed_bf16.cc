#include "tensor/packed_bf16.h"

#include <algorithm>
#include <bit>
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
    const auto* from = reinterpret_cast<const uint8_t*>(values + b * kPackedEscapeBytes);
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
    const auto* block = values + b * kPackedEscapeBytes;
    escapes.insert(escapes.end(), block, block + kPackedEscapeBytes);
  }
}

PackedBf16Layout LayoutOfPackedBf16(int64_t rows, int64_t cols) {
  const auto whole = [](int64_t bytes) { return (bytes + 63) / 64 * 64; };
  PackedBf16Layout layout;
  layout.first_escape = whole(rows * PackedEscapeWords(cols) * int64_t{sizeof(uint64_t)});
  layout.blocks = layout.first_escape + whole(rows * int64_t{sizeof(uint32_t)});
  layout.bytes = layout.blocks + whole(rows * (cols / kPackedBlockValues) * kPackedBlockBytes);
  return layout;
}

PackedBf16View ViewOfPackedBf16(const std::byte* data, const std::byte* escapes, int64_t rows, int64_t cols,
                                const std::array<uint8_t, 16>& high_bytes) {
  const PackedBf16Layout layout = LayoutOfPackedBf16(rows, cols);
  return {.blocks = data + layout.blocks,
          .escaped = reinterpret_cast<const uint64_t*>(data),
          .first_escape = reinterpret_cast<const uint32_t*>(data + layout.first_escape),
          .escapes = escapes,
          .high_bytes = high_bytes};
}

bool EscapesAreSound(const PackedBf16View& packed, int64_t rows, int64_t cols, int64_t num_escapes) {
  const int64_t words = PackedEscapeWords(cols), in_last = cols / kPackedBlockValues - (words - 1) * 64;
  const uint64_t beyond = in_last == 64 ? 0 : ~uint64_t{0} << in_last;
  int64_t before = 0;
  for (int64_t r = 0; r < rows; ++r) {
    if (packed.first_escape[r] != before) return false;
    const uint64_t* row = packed.escaped + r * words;
    for (int64_t w = 0; w < words; ++w) before += std::popcount(row[w]);
    if ((row[words - 1] & beyond) != 0) return false;
  }
  return before == num_escapes;
}

void UnpackBf16Row(const PackedBf16View& packed, int64_t r, int64_t cols, std::byte* out) {
  const int64_t count = cols / kPackedBlockValues;
  const uint64_t* escaped = packed.escaped + r * PackedEscapeWords(cols);
  const std::byte* aside = packed.escapes + int64_t{packed.first_escape[r]} * kPackedEscapeBytes;
  for (int64_t b = 0; b < count; ++b, out += kPackedEscapeBytes) {
    if ((escaped[b / 64] >> (b % 64) & 1) != 0) {
      std::memcpy(out, aside, kPackedEscapeBytes);
      aside += kPackedEscapeBytes;
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
