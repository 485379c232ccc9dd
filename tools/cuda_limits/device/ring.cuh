// A ring of shared memory that belongs to one warp: its lane 0 asks the copy engine for the next pieces of
// the weights, all lanes wait for the oldest piece and read it. Warps share nothing, so no barrier of the
// block is needed, and a ring may run ahead into the next phase while the block waits for the phase before.
//
// Slots are of one size; a piece is at most a slot. Order of use: Start once; then any mix of Issue (while
// CanIssue) and Wait, read, Release.
//
// At most `window` pieces are on their way at once, however many slots are free. Loads, stores and fences of
// an SM wait behind the bulk copies that it asked for before: a ring that asks for all it can hold delays the
// next boundary by the time that all of that takes. With a window the ring still fills, if CanIssue is asked
// again and again.
#pragma once

#include "ptx.cuh"

namespace limits {

struct WarpRing {
  uint32_t slots_at;     // shared addresses
  uint32_t barriers_at;  // 8 bytes a slot
  const uint8_t* slots;
  int slot_bytes, num_slots;
  int issue_slot = 0, read_slot = 0, in_flight = 0;
  uint32_t parity = 0;
  int window = 1 << 20, flying = 0, landing_slot = 0;  // flying: issued and not known to have arrived
  uint32_t landing_parity = 0;
  uint64_t policy = 0;  // 0: none

  // All rings of a block lie in `shared`: slots of all warps first, then the barriers. Sync the block
  // afterwards.
  __host__ __device__ static constexpr size_t Bytes(int warps, int num_slots, int slot_bytes) {
    return static_cast<size_t>(warps) * num_slots * (slot_bytes + 8);
  }
  __device__ void Start(uint8_t* shared, int warps, int warp, int lane, int num_slots_, int slot_bytes_) {
    num_slots = num_slots_;
    slot_bytes = slot_bytes_;
    slots = shared + static_cast<size_t>(warp) * num_slots * slot_bytes;
    slots_at = SharedAddress(slots);
    barriers_at = SharedAddress(shared) + warps * num_slots * slot_bytes + warp * num_slots * 8;
    if (lane == 0) {
      for (int s = 0; s < num_slots; ++s) InitBarrier(barriers_at + s * 8, 1);
      FenceBarrierInit();
    }
    __syncwarp();
  }
  __device__ bool CanIssue() {
    if (in_flight >= num_slots) return false;
    while (flying >= window) {
      if (!__all_sync(~0u, TestBarrier(barriers_at + landing_slot * 8, landing_parity))) return false;
      Landed();
    }
    return true;
  }
  __device__ void Landed() {
    --flying;
    if (++landing_slot == num_slots) {
      landing_slot = 0;
      landing_parity ^= 1;
    }
  }
  // By all lanes; lane 0 does it.
  __device__ void Issue(int lane, const void* from, uint32_t bytes) {
    if (lane == 0) {
      const uint32_t barrier = barriers_at + issue_slot * 8;
      ArriveExpect(barrier, bytes);
      if (policy)
        CopyBulkHinted(slots_at + issue_slot * slot_bytes, from, bytes, barrier, policy);
      else
        CopyBulk(slots_at + issue_slot * slot_bytes, from, bytes, barrier);
    }
    if (++issue_slot == num_slots) issue_slot = 0;
    ++in_flight;
    ++flying;
  }
  __device__ const uint8_t* Wait() {
    WaitBarrier(barriers_at + read_slot * 8, parity);
    if (flying == in_flight) Landed();
    return slots + read_slot * slot_bytes;
  }
  // After the last read of the piece that Wait gave.
  __device__ void Release() {
    __syncwarp();
    if (++read_slot == num_slots) {
      read_slot = 0;
      parity ^= 1;
    }
    --in_flight;
  }
};

}  // namespace limits
