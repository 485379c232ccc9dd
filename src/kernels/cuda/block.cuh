// Sums and maxima over a block, in an order that the number of threads alone decides.
#pragma once

#include "kernels/cuda/ptx.cuh"
#include "kernels/cuda/schedule.h"

namespace oxidized::cuda {

// Every thread gets the result; `shared` [kWarps] may be used again behind the next barrier of the block.
template <typename T, class Combine>
__device__ inline T OverBlock(T of_warp, T* shared, const Combine& combine) {
  __syncthreads();
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = of_warp;
  __syncthreads();
  T all = shared[0];
  for (int w = 1; w < kWarps; ++w) all = combine(all, shared[w]);
  return all;
}
__device__ inline uint64_t BlockSum(uint64_t x, uint64_t* shared) {
  return OverBlock(WarpSum(x), shared, [](uint64_t a, uint64_t b) { return a + b; });
}
__device__ inline uint64_t BlockMax(uint64_t x, uint64_t* shared) {
  return OverBlock(WarpMax(x), shared, [](uint64_t a, uint64_t b) { return a > b ? a : b; });
}

// Whether this block is the last of `blocks` to come here; then it sees what all wrote before, and `counter`
// is zero again.
__device__ inline bool ArrivesLast(uint32_t* counter, uint32_t blocks) {
  __shared__ bool last;
  __syncthreads();
  if (threadIdx.x == 0) {
    last = AddAcquireRelease(counter) == blocks - 1;
    if (last) *counter = 0;
  }
  __syncthreads();
  return last;
}

}  // namespace oxidized::cuda
