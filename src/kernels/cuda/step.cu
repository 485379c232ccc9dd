#include "kernels/cuda/launch.h"
#include "kernels/cuda/phases.cuh"
#include "kernels/cuda/words.cuh"

namespace oxidized::cuda {
namespace {

// By all threads of a block; seen behind its next barrier.
template <typename T>
__device__ void CopyWords(T* to, const T* from) {
  static_assert(sizeof(T) % 4 == 0);
  for (int i = threadIdx.x; i < static_cast<int>(sizeof(T) / 4); i += kThreads)
    reinterpret_cast<uint32_t*>(to)[i] = reinterpret_cast<const uint32_t*>(from)[i];
}

template <int kParts>
__global__ void __launch_bounds__(kThreads, 1)
    StepKernel(StepArgs args, int layers, int begin, int end, uint32_t passed) {
  extern __shared__ __align__(128) uint8_t shared[];
  __shared__ Jobs jobs;
  __shared__ Rings rings;
  __shared__ ModelArgs model;
  __shared__ LayerArgs layer_args[2];
  __shared__ int rows[kTileTokens];
  __shared__ uint64_t peaks[kWarps];
  if (threadIdx.x == 0) {
    rings.slots = args.ring_slots;
    rings.slot_bytes = args.ring_slot_bytes;
    rings.slots_at = SharedAddress(shared) + args.ring_at;
  }
  const auto bring_layer = [&](int layer) {
    if (layer >= 0 && layer < layers) CopyWords(&layer_args[layer % 2], args.model->layer + layer);
  };
  CopyWords(&model, args.model);
  bring_layer(PhaseAt(begin, layers).layer);
  if (begin == 0) bring_layer(0);
  __syncthreads();
  rings.Init(static_cast<int>(threadIdx.x / 32));
  __syncthreads();
  const Block block{
      model, layer_args, args, static_cast<int>(blockIdx.x), static_cast<int>(gridDim.x), shared, jobs,
      rings, rows,       peaks};
  Prepared prepared;
  const bool times = blockIdx.x == 0 && threadIdx.x == 0;
  for (int i = begin; i < end; ++i) {
    if (times) args.clocks[2 * i] = clock64();
    const PhaseOf at = PhaseAt(i, layers);
    if (at.phase == Phase::kRoute && i + 1 < end) bring_layer(at.layer + 1);
    RunPhase<kParts>(block, at, prepared.index == i, prepared.down);
    Prepare(block, i, end, layers, prepared);
    if (i + 1 < end) GridBarrier(args.barrier, (passed += 1) * gridDim.x);
    if (times) args.clocks[2 * i + 1] = clock64();
  }
}

__global__ void CountKernel(const int32_t* tokens, int64_t n, int32_t* counts) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < n) atomicAdd(counts + tokens[i], 1);
}

const void* KernelOf(int parts) {
  return parts == 1 ? reinterpret_cast<const void*>(StepKernel<1>)
                    : reinterpret_cast<const void*>(StepKernel<3>);
}

}  // namespace

const char* AllowShared(int parts, int bytes) {
  return Words(cudaFuncSetAttribute(KernelOf(parts), cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
}

const char* LaunchStep(const StepArgs& args, int parts, int layers, int blocks, int shared_bytes, int begin,
                       int end, uint32_t passed, void* stream) {
  StepArgs copy = args;
  void* parameters[] = {&copy, &layers, &begin, &end, &passed};
  return Words(cudaLaunchCooperativeKernel(KernelOf(parts), dim3(blocks), dim3(kThreads), parameters,
                                           static_cast<size_t>(shared_bytes),
                                           static_cast<cudaStream_t>(stream)));
}

const char* LaunchCount(const int32_t* tokens, int64_t n, int32_t* counts, void* stream) {
  CountKernel<<<static_cast<unsigned>((n + 255) / 256), 256, 0, static_cast<cudaStream_t>(stream)>>>(
      tokens, n, counts);
  return Words(cudaGetLastError());
}

}  // namespace oxidized::cuda
