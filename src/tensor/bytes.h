// Bytes moved within words, several at once.
#pragma once

#include <cstdint>

namespace oxidized {

// The even bytes of eight, side by side.
inline uint32_t EvenBytes(uint64_t x) {
  x &= 0x00FF00FF00FF00FFu;
  x = (x | x >> 8) & 0x0000FFFF0000FFFFu;
  return static_cast<uint32_t>(x | x >> 16);
}

}  // namespace oxidized
