// A ring of shared memory for a block: one producer thread asks the copy engine for pieces of weights in order, the
// consumer warps take them in turn (piece k of a phase goes to warp k modulo the number of warps).
//
// Two limits hold the producer: a slot must be free, and at most `window` pieces may be on their way. The second
// matters more than it looks. What is on its way beyond some 50 KB a SM brings no bandwidth, it only stands in the
// queue to the memory, and every small load, store or atomic of the same SM, which is what a boundary between phases
// is made of, waits behind it. So the ring runs far ahead (that hides the boundary), but few pieces are under way.
//
// Positions count pieces from the start of the kernel; both sides must agree on the order of all pieces.
#pragma once

#include "ptx.cuh"

namespace limits {

struct RingShape {
  int slots, slot_bytes, window;
  __host__ __device__ constexpr size_t Bytes() const { return static_cast<size_t>(slots) * (slot_bytes + 16); }
};

// A slot and the parity of its current use.
struct RingPosition {
  int slot = 0;
  uint32_t parity = 0;
  __device__ void Advance(int by, int slots) {  // by <= slots
    slot += by;
    if (slot >= slots) {
      slot -= slots;
      parity ^= 1;
    }
  }
  __device__ static RingPosition Of(uint32_t piece, int slots) {
    return {static_cast<int>(piece % slots), piece / slots & 1};
  }
};

struct BlockRing {
  RingShape shape;
  const uint8_t* slots;
  uint32_t slots_at, full_at, empty_at;  // shared addresses; barriers of 8 bytes a slot

  // By all threads; the block must be synchronised before first use.
  __device__ BlockRing(uint8_t* shared, const RingShape& s) : shape(s), slots(shared) {
    slots_at = SharedAddress(shared);
    full_at = slots_at + s.slots * s.slot_bytes;
    empty_at = full_at + s.slots * 8;
    for (int i = threadIdx.x; i < s.slots; i += blockDim.x) {
      InitBarrier(full_at + i * 8, 1);
      InitBarrier(empty_at + i * 8, 1);
    }
    FenceBarrierInit();
  }
  __device__ const uint8_t* WaitFull(const RingPosition& at) const {
    WaitBarrier(full_at + at.slot * 8, at.parity);
    return slots + at.slot * shape.slot_bytes;
  }
  // By all lanes of the warp that read the slot, after the last read.
  __device__ void Release(const RingPosition& at, int lane) const {
    __syncwarp();
    if (lane == 0)
      asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(empty_at + at.slot * 8) : "memory");
  }
};

// The producer's side, in one thread.
struct Producer {
  const BlockRing& ring;
  RingPosition next, oldest;  // oldest: of those that may be under way
  int issued = 0;

  __device__ explicit Producer(const BlockRing& r) : ring(r) {}
  __device__ void Issue(const void* from, uint32_t bytes) {
    if (issued >= ring.shape.slots) WaitBarrier(ring.empty_at + next.slot * 8, next.parity ^ 1);
    if (issued >= ring.shape.window) {
      WaitBarrier(ring.full_at + oldest.slot * 8, oldest.parity);
      oldest.Advance(1, ring.shape.slots);
    }
    const uint32_t barrier = ring.full_at + next.slot * 8;
    ArriveExpect(barrier, bytes);
    CopyBulk(ring.slots_at + next.slot * ring.shape.slot_bytes, from, bytes, barrier);
    next.Advance(1, ring.shape.slots);
    ++issued;
  }
};

// A barrier of the consumer warps alone.
__device__ inline void SyncConsumers(int threads) { asm volatile("bar.sync 1, %0;" ::"r"(threads) : "memory"); }

}  // namespace limits
