// Counter-based random numbers: the value depends only on (key, counter), never on how many were drawn
// before, so that batching, chunking, threads and preemption give the same tokens, and weights can be
// generated in parallel.
//
// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11).
#pragma once

#include <array>
#include <cstdint>

#include "base/host_device.h"

namespace oxidized {

OX_HOST_DEVICE constexpr std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter,
                                                            std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * counter[0];
    const uint64_t p1 = uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(p1),
               static_cast<uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(p0)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

// 128 random bits for (seed, stream, index).
OX_HOST_DEVICE constexpr std::array<uint32_t, 4> RandomBits(uint64_t seed, uint64_t stream, uint64_t index) {
  return Philox4x32({static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32),
                     static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)},
                    {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
}

// Uniform in [0, 1) with 53 bits.
inline double RandomUniform(uint64_t seed, uint64_t stream, uint64_t index) {
  const auto bits = RandomBits(seed, stream, index);
  const uint64_t mantissa = ((uint64_t{bits[0]} << 32) | bits[1]) >> 11;
  return static_cast<double>(mantissa) * 0x1.0p-53;
}

}  // namespace oxidized
