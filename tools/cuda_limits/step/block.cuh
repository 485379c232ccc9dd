// What a block of the step has: its warps' rings, the streams of weights that feed them, shared memory, sums
// over the block. A stream says where the i-th piece of a warp lies; the ring takes pieces of the current
// stream, then of the next one if that is known already.
#pragma once

#include "../device/formats.cuh"
#include "../device/ring.cuh"
#include "model.h"

namespace limits::step {

constexpr int kWarps = 12, kThreads = kWarps * 32, kSlot = 4096;
constexpr int kMaxGroups = 24;  // of 8 rows, of a block in one phase other than the head

struct Shared {
  alignas(128) uint8_t x[kQuery * 2 + 128];  // bf16
  float part[640];  // sums of units: 5 groups x 15 pieces, 3 x 16, 22 x 3, 3 x 12, of 8 rows
  float scratch[64];
  float logits[kWarps * 32];
  float rows[kMaxGroups];             // new values of the residual
  volatile uint32_t passed, arrived;  // boundaries
  uint32_t route_ids[kTopK];
  float route_weights[kTopK];
};

enum class Kind : uint8_t { kNone, kRun, kGateUp, kDown, kHead };

struct Stream {
  Kind kind = Kind::kNone;
  const uint8_t* base = nullptr;
  int bytes = 0, count = 0;  // count: pieces of the block; of kHead: groups
  int first = 0;             // first group

  __device__ int CountOf(int warp) const {
    const int mine = count > warp ? (count - warp + kWarps - 1) / kWarps : 0;
    return kind == Kind::kHead ? mine * kHiddenChunks : mine;
  }
  __device__ const uint8_t* At(int i, int warp, const uint32_t* experts) const {
    if (kind == Kind::kRun) return base + static_cast<size_t>(i * kWarps + warp) * bytes;
    if (kind == Kind::kHead)
      return base +
             (static_cast<size_t>(i / kHiddenChunks * kWarps + warp) * kHiddenChunks + i % kHiddenChunks) *
                 bytes;
    if (kind == Kind::kGateUp) {  // piece = group * chunks + chunk; groups of all chosen experts in a row
      const int piece = i * kWarps + warp, group = first + piece / kExpertChunks;
      const size_t row = size_t{experts[group / kGateUpGroups]} * kGateUpGroups + group % kGateUpGroups;
      return base + (row * kExpertChunks + piece % kExpertChunks) * kExpertUnit;
    }
    // kDown: a warp has one expert and one chunk, its i-th piece is of the block's i-th group.
    const size_t row = size_t{experts[warp / kExpertChunks]} * kOutGroups + first + i;
    return base + (row * kExpertChunks + warp % kExpertChunks) * kExpertUnit;
  }
};

struct Block {
  Shared& shared;
  WarpRing ring;
  int cta, ncta, warp, lane;
  int copy;  // of the activations that this block reads
  Stream current, next;
  int current_n = 0, next_n = 0, issued = 0, issued_next = 0;
  bool open = true;          // whether it may do so now
  bool ahead = true;         // whether the ring may run into the next stream
  uint32_t position, token;  // of this step

  __device__ Block(const Model& m, Shared& s, uint8_t* ring_memory, int slots, int window)
      : shared(s),
        cta(blockIdx.x),
        ncta(gridDim.x),
        warp(threadIdx.x / 32),
        lane(threadIdx.x % 32),
        copy(blockIdx.x % m.copies) {
    ring.Start(ring_memory, kWarps, warp, lane, slots, kSlot);
    ring.window = window;
    // The state changes at the end of a step, and nothing of the next one starts before that.
    position = *const_cast<volatile uint32_t*>(&m.state->position);
    token = *const_cast<volatile uint32_t*>(&m.state->token);
  }
  __device__ void SetCurrent(const Stream& s) {
    current = s;
    current_n = s.CountOf(warp);
    issued = 0;
  }
  __device__ void SetNext(const Stream& s) {
    next = s;
    next_n = s.CountOf(warp);
    issued_next = 0;
  }
  __device__ void Advance() {
    current = next;
    current_n = next_n;
    issued = issued_next;
    next = Stream{};
    next_n = issued_next = 0;
  }
  __device__ void Fill() {
    while (ring.CanIssue()) {
      if (issued < current_n)
        ring.Issue(lane, current.At(issued++, warp, shared.route_ids), current.bytes);
      else if (ahead && open && issued_next < next_n)
        ring.Issue(lane, next.At(issued_next++, warp, shared.route_ids), next.bytes);
      else
        break;
    }
  }
  // use(slot, i) for the warp's pieces of the current stream.
  template <class Use>
  __device__ void ForPieces(Use use) {
    Fill();
    for (int i = 0; i < current_n; ++i) {
      use(ring.Wait(), i);
      ring.Release();
      Fill();
    }
  }
  // The block's share [begin, end) of n groups.
  __device__ int Begin(int n) const { return n * cta / ncta; }
  __device__ int End(int n) const { return n * (cta + 1) / ncta; }

  __device__ float Sum(float v) {
    for (int d = 16; d > 0; d >>= 1) v += __shfl_xor_sync(~0u, v, d);
    if (lane == 0) shared.scratch[warp] = v;
    __syncthreads();
    float sum = 0;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) sum += shared.scratch[w];
    return sum;
  }
};

__device__ inline uint16_t ToBf16(float v) {  // to nearest even
  uint32_t bits = __float_as_uint(v);
  bits += 0x7FFF + (bits >> 16 & 1);
  return static_cast<uint16_t>(bits >> 16);
}
__device__ inline uint32_t ToBf16x2(float low, float high) {
  return ToBf16(low) | uint32_t{ToBf16(high)} << 16;
}
__device__ inline float FromBf16(uint32_t bits) { return __uint_as_float(bits << 16); }

}  // namespace limits::step
