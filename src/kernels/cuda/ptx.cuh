// The instructions that CUDA C++ has no name for, and the barrier of a grid.
#pragma once

#include <cstdint>

namespace oxidized::cuda {

// d += a b: rows lane / 4 and + 8 of A, columns lane % 4 * 2 and + 1 of B.
__device__ inline void Mma(float* d, const uint32_t* a, uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ inline uint32_t MultiplyBf16x2(uint32_t a, uint32_t b) {
  uint32_t d;
  asm("mul.bf16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
  return d;
}

// Weights: nobody writes them, nobody reads them twice soon.
__device__ inline uint4 LoadWeights(const uint8_t* p) {
  uint4 v;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(p));
  return v;
}
__device__ inline uint2 LoadWeights8(const uint8_t* p) {
  uint2 v;
  asm volatile("ld.global.nc.L1::no_allocate.v2.u32 {%0, %1}, [%2];" : "=r"(v.x), "=r"(v.y) : "l"(p));
  return v;
}

// Shared memory by its 32-bit address; an ordinary load, whose place among barriers the compiler keeps.
__device__ inline uint32_t SharedAddress(const void* p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}
template <typename T>
__device__ inline T LoadShared(uint32_t address) {
  return *static_cast<const T*>(__cvta_shared_to_generic(address));
}

// Barriers of the copy engine: one arrival, then the bytes that were announced.
__device__ inline void InitCopyBarrier(uint32_t barrier) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(barrier) : "memory");
}
__device__ inline void FenceCopyBarriers() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
// `bytes`, both addresses: multiples of 16. By one thread.
__device__ inline void CopyBulk(uint32_t to, const void* from, uint32_t bytes, uint32_t barrier) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(to),
      "l"(from), "r"(bytes), "r"(barrier)
      : "memory");
}
__device__ inline void WaitForCopy(uint32_t barrier, uint32_t parity) {
  uint32_t done = 0;
  for (uint32_t polls = 0; !done; ++polls) {
    if (polls > 8000000u) __trap();
    asm volatile(
        "{\n.reg .pred p;\n"
        "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
        "selp.u32 %0, 1, 0, p;\n}"
        : "=r"(done)
        : "r"(barrier), "r"(parity)
        : "memory");
  }
}

__device__ inline uint32_t LoadAcquire(const uint32_t* p) {
  uint32_t v;
  asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(v) : "l"(p) : "memory");
  return v;
}

__device__ inline uint32_t AddAcquireRelease(uint32_t* p) {  // one; what it was before
  uint32_t before;
  asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], 1;" : "=r"(before) : "l"(p) : "memory");
  return before;
}

// All blocks of the grid are resident (a cooperative launch); `counter` only grows, `target` is what it holds
// when all have arrived. What was written before is seen behind it. A grid that waits for seconds is broken
// and ends with an error.
__device__ inline void GridBarrier(uint32_t* counter, uint32_t target) {
  __syncthreads();
  if (threadIdx.x == 0) {
    asm volatile("red.release.gpu.global.add.u32 [%0], 1;" ::"l"(counter) : "memory");
    for (uint32_t polls = 0; static_cast<int32_t>(LoadAcquire(counter) - target) < 0; ++polls) {
      if (polls > 8000000u) __trap();
    }
  }
  __syncthreads();
}

__device__ inline float WarpSum(float x) {
#pragma unroll
  for (int step = 16; step > 0; step >>= 1) x += __shfl_xor_sync(~0u, x, step);
  return x;
}
__device__ inline uint64_t WarpMax(uint64_t x) {
#pragma unroll
  for (int step = 16; step > 0; step >>= 1) {
    const uint64_t other = __shfl_xor_sync(~0u, x, step);
    x = other > x ? other : x;
  }
  return x;
}
__device__ inline uint64_t WarpSum(uint64_t x) {
#pragma unroll
  for (int step = 16; step > 0; step >>= 1) x += __shfl_xor_sync(~0u, x, step);
  return x;
}

}  // namespace oxidized::cuda
