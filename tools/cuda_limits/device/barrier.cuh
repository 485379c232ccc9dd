// Boundaries between the phases of one persistent kernel, all of whose blocks are resident (cooperative
// launch). Epochs count from 1 and never go back; memory starts at zero. Called by all threads of a block.
//
// Counter: Arrive makes everything that the block's threads wrote before visible to whoever passes Wait of
// that epoch. Flags: the same with a word a block. Tagged: a value travels with the epoch in one word of 8
// bytes, the reader reads until the tag is right, and neither fence nor barrier is needed.
// Hinted: tagged, and a counter that is added to without a fence: who sees it full finds nearly all values
// there, so that nobody reads in vain while they are on their way. A fence under load takes 1 to 4 us, which
// this saves.
//
// Two buffers of tagged values in turn are enough: a block writes epoch e + 2 only after it has read all of e
// + 1, which every other block wrote after it had read all of e.
#pragma once

#include "ptx.cuh"

namespace limits {

enum class Boundary { kCounter, kFlags, kTagged, kHinted };
__host__ __device__ constexpr bool IsTagged(Boundary b) {
  return b == Boundary::kTagged || b == Boundary::kHinted;
}

// state: a word for the counter, or a word a block for the flags.
template <Boundary kKind>
__device__ inline void Arrive(uint32_t* state, uint32_t epoch, int cta) {
  if (kKind == Boundary::kTagged) return;
  if (kKind == Boundary::kHinted) {  // by the warp that wrote the values
    __syncwarp();
    if (threadIdx.x == 0) asm volatile("red.relaxed.gpu.global.add.u32 [%0], 1;" ::"l"(state) : "memory");
    return;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    if (kKind == Boundary::kFlags)
      StoreRelease(state + cta, epoch);
    else
      AddRelease(state, 1);
  }
}

template <Boundary kKind>
__device__ inline void WaitForAll(const uint32_t* state, uint32_t epoch, int ncta) {
  if (kKind == Boundary::kTagged) return;
  if (kKind == Boundary::kFlags) {
    for (int i = threadIdx.x; i < ncta; i += blockDim.x)
      while (LoadAcquire(state + i) < epoch) {
      }
  } else if (threadIdx.x == 0) {
    while (LoadAcquire(state) < epoch * ncta) {
    }
  }
  __syncthreads();
}

__device__ inline uint32_t LoadRelaxed(const uint32_t* p) {
  uint32_t v;
  asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(v) : "l"(p) : "memory");
  return v;
}
__device__ inline void StoreTagged(uint64_t* p, float value, uint32_t epoch) {
  const uint64_t word = uint64_t{epoch} << 32 | __float_as_uint(value);
  asm volatile("st.relaxed.gpu.global.u64 [%0], %1;" ::"l"(p), "l"(word) : "memory");
}
__device__ inline uint64_t LoadTagged(const uint64_t* p) {
  uint64_t word;
  asm volatile("ld.relaxed.gpu.global.u64 %0, [%1];" : "=l"(word) : "l"(p) : "memory");
  return word;
}
__device__ inline bool HasTag(uint64_t word, uint32_t epoch) { return word >> 32 == epoch; }

}  // namespace limits
