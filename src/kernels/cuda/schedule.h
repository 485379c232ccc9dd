// How the blocks of a step share its work, and what fits a block's shared memory. Plain arithmetic for host
// and device. None of it decides an order of summation.
#pragma once

#include <cstdint>

#include "base/host_device.h"
#include "kernels/cuda/layout.h"

namespace oxidized::cuda {

inline constexpr int kWarps = 12, kThreads = kWarps * 32;  // of a block; one block a SM
inline constexpr int kTileTokens = 8;                      // columns of an instruction
inline constexpr int kPassUnits = 48;  // units whose sums are kept at once, if chunks allow

struct Range {
  int64_t begin, end;
};
// The part of n things that is `share`'s of `shares`: contiguous, sizes differ by one at most.
OX_HOST_DEVICE constexpr Range ShareOf(int64_t n, int64_t share, int64_t shares) {
  if ((n * shares) >> 32 == 0) {  // divisions of 32 bits are several times faster
    const auto n32 = static_cast<uint32_t>(n), by = static_cast<uint32_t>(shares);
    return {n32 * static_cast<uint32_t>(share) / by, n32 * static_cast<uint32_t>(share + 1) / by};
  }
  return {n * share / shares, n * (share + 1) / shares};
}

// Work of a product is tiles x groups: unit u is group u / tiles, tile u % tiles. The groups of one tile in
// the units [begin, end).
OX_HOST_DEVICE constexpr Range GroupsOfTile(Range units, int64_t tile, int64_t tiles) {
  const auto first = [&](int64_t u) -> int64_t {
    if (u <= tile) return 0;
    if (tiles == 1) return u - tile;
    const int64_t n = u - tile + tiles - 1;
    return n >> 32 == 0 ? static_cast<uint32_t>(n) / static_cast<uint32_t>(tiles) : n / tiles;
  };
  return {first(units.begin), first(units.end)};
}

// Groups whose units are summed between two barriers of a block: if it can be, so many that every warp has as
// many units.
OX_HOST_DEVICE constexpr int PassGroups(int chunks) {
  const int most = chunks >= kPassUnits ? 1 : kPassUnits / chunks;
  for (int groups = most; groups > 0; --groups) {
    if (groups * chunks % kWarps == 0) return groups;
  }
  return most;
}
OX_HOST_DEVICE constexpr int PassFloats(int chunks) {
  return (chunks > kPassUnits ? chunks : kPassUnits) * kUnitRows * kTileTokens;
}

// Inputs of a product in shared memory: rows of one token and part, bf16, apart by 64 modulo 128 bytes, so
// that the 8 rows of an instruction meet no bank twice.
OX_HOST_DEVICE constexpr int InputStride(int padded_cols) { return padded_cols * 2 + 64; }
OX_HOST_DEVICE constexpr int InputBytes(int padded_cols, int parts) {
  return InputStride(padded_cols) * parts * kTileTokens;
}

// The next unit of a warp: unit `unit` of the pass that begins with group `pass`. A warp has every kWarps-th
// unit of each pass.
struct UnitCursor {
  int pass, unit;
};
// How the units of jobs are gone through: all their groups, units of a group, PassGroups(chunks).
struct UnitOrder {
  int groups, chunks, pass_groups;
};
OX_HOST_DEVICE constexpr int UnitsOfPass(int pass, const UnitOrder& order) {
  const int left = order.groups - pass;
  return (left < order.pass_groups ? left : order.pass_groups) * order.chunks;
}
// To a unit that there is, or behind the last pass (pass >= groups).
OX_HOST_DEVICE constexpr UnitCursor Settled(UnitCursor at, int warp, const UnitOrder& order) {
  while (at.pass < order.groups && at.unit >= UnitsOfPass(at.pass, order)) {
    at.pass += order.pass_groups;
    at.unit = warp;
  }
  return at;
}
OX_HOST_DEVICE constexpr UnitCursor FirstUnit(int warp, const UnitOrder& order) {
  return Settled({0, warp}, warp, order);
}
OX_HOST_DEVICE constexpr UnitCursor NextUnit(UnitCursor at, int warp, const UnitOrder& order) {
  at.unit += kWarps;
  return Settled(at, warp, order);
}

// A ring of a warp: units on their way into shared memory. Slots of the largest unit, as many as fit, at most
// kMostSlots; none: units are read from the card's memory as they are used.
inline constexpr int kMostSlots = 3;
inline constexpr int kAheadOfBarrier = 2;  // units of a warp that are on their way while the grid waits
OX_HOST_DEVICE constexpr int RingBytes(int slots, int slot_bytes) { return kWarps * slots * slot_bytes; }

// Keys of a row of attention: up to 16 splits of 32 keys, of 64, and so on; by the number of visible keys
// alone.
inline constexpr int kMaxSplits = 16, kLeastSplitKeys = 32;
OX_HOST_DEVICE constexpr int64_t SplitKeys(int64_t visible) {
  int64_t keys = kLeastSplitKeys;
  while (keys * kMaxSplits < visible) keys *= 2;
  return keys;
}
OX_HOST_DEVICE constexpr int SplitsOf(int64_t visible) {
  const int64_t keys = SplitKeys(visible);
  return static_cast<int>((visible + keys - 1) / keys);
}

OX_HOST_DEVICE constexpr int64_t FirstVisible(int64_t position, int window) {
  return window > 0 && position - window + 1 > 0 ? position - window + 1 : 0;
}

// --- Shared memory of the other phases, in words of 4 bytes.

inline constexpr int kKeysAtOnce = 128, kKvRows = 32;  // kKvRows: positions of a KV block
inline constexpr int kHeadsAtOnce = 8, kElementsAtOnce = 64;
// Attention: queries, scores, sums, three numbers a head; sums of each warp; where each key lies.
OX_HOST_DEVICE constexpr int AttentionFloats(int heads_of_group, int d) {
  return RoundUp(heads_of_group * (2 * d + kKeysAtOnce + 3), 2) + kWarps * kHeadsAtOnce * kElementsAtOnce +
         2 * kKeysAtOnce;
}
// Routing: of each warp, how many rows each expert serves, and a row of logits.
OX_HOST_DEVICE constexpr int RoutingInts(int most_experts) { return 2 * kWarps * most_experts; }

}  // namespace oxidized::cuda
