// Section b: what lies between two phases of a step that depend on each other. A phase here reads its weights (folds
// them into an xor), and the 2880 activations that all blocks of the phase before wrote; every block computes their
// sum of squares, as a norm does, and writes its share of the next ones. Activations of phase p are all p: a block
// that reads too early finds another number, and the check after the run says so.
//
// One phase function serves all kinds of boundary: kernels in a graph, with and without programmatic dependent
// launch, and one persistent kernel.
#include "device/barrier.cuh"
#include "device/block_ring.cuh"
#include "host.h"

namespace limits {
namespace {

constexpr int kHidden = 2880;
constexpr int kPiece = 4096;
constexpr int kKinds = 4;  // sizes that follow each other

struct Work {
  const uint8_t* weights;
  uint32_t pieces[kKinds];  // of phase p: pieces[p % kKinds]
  uint32_t phases;
  float* activations;  // [2, kHidden]
  uint64_t* tagged;    // [2, kHidden]
  uint32_t* barrier;   // [1024]
  uint32_t* fold;      // xor of all pieces
  uint32_t* errors;
  RingShape ring;
  int ahead;        // pieces of the next phase that may be asked for before the boundary
  bool contiguous;  // a block's pieces of a phase are one run; else every ncta-th piece is the block's
  uint32_t* trace;  // [phases, ncta, 4] clocks in the boundary, reading activations, reading weights, waiting for them
};
constexpr int kConsumers = 256;  // threads; the producer is a warp of its own

__device__ const uint8_t* WeightsOf(const Work& work, uint32_t phase) {
  uint64_t before = 0, layer = 0;
  for (uint32_t k = 0; k < kKinds; ++k) {
    if (k < phase % kKinds) before += work.pieces[k];
    layer += work.pieces[k];
  }
  return work.weights + (phase / kKinds * layer + before) * kPiece;
}

__device__ float BlockSum(float v) {
  __shared__ float partial[32];
  for (int d = 16; d > 0; d >>= 1) v += __shfl_xor_sync(~0u, v, d);
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = v;
  SyncConsumers(kConsumers);
  float sum = 0;
  for (int w = 0; w < kConsumers / 32; ++w) sum += partial[w];
  SyncConsumers(kConsumers);
  return sum;
}

// The pieces of a phase that are a block's.
struct Share {
  const uint8_t* first;
  uint32_t count;
  size_t stride;  // bytes
};
__device__ Share ShareOf(const Work& work, uint32_t phase, int cta, int ncta) {
  const uint32_t all = work.pieces[phase % kKinds];
  const uint8_t* weights = WeightsOf(work, phase);
  if (work.contiguous) {
    const uint32_t begin = all * cta / ncta, end = all * (cta + 1) / ncta;
    return {weights + size_t{begin} * kPiece, end - begin, kPiece};
  }
  return {weights + static_cast<size_t>(cta) * kPiece, (all + ncta - 1 - cta) / ncta, static_cast<size_t>(ncta) * kPiece};
}

// Reads the activations of `phase`; true if all are right. Their sum of squares stands for the norm.
template <Boundary kKind>
__device__ float ReadActivations(const Work& work, uint32_t phase) {
  float sum = 0;
  bool right = true;
  if (IsTagged(kKind)) {
    const uint64_t* in = work.tagged + phase % 2 * kHidden;
    constexpr int kEach = 12;
    for (int base = threadIdx.x; base < kHidden; base += kEach * kConsumers) {
      uint64_t word[kEach];
      bool all;
      do {
        all = true;
#pragma unroll
        for (int u = 0; u < kEach; ++u) {
          const int i = base + u * kConsumers;
          word[u] = i < kHidden ? LoadTagged(in + i) : uint64_t{phase} << 32;
        }
#pragma unroll
        for (int u = 0; u < kEach; ++u) all &= HasTag(word[u], phase);
      } while (!all);
#pragma unroll
      for (int u = 0; u < kEach; ++u) {
        const float v = __uint_as_float(static_cast<uint32_t>(word[u]));
        if (base + u * kConsumers < kHidden) {
          sum += v * v;
          right &= v == static_cast<float>(phase);
        }
      }
    }
  } else {
    const float* in = work.activations + phase % 2 * kHidden;
    for (int i = threadIdx.x * 4; i < kHidden; i += kConsumers * 4) {
      const float4 v = LoadActivation4(in + i);
      sum += v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w;
      const auto want = static_cast<float>(phase);
      right &= v.x == want && v.y == want && v.z == want && v.w == want;
    }
  }
  if (!right) atomicAdd(work.errors, 1);
  return BlockSum(sum);
}

template <Boundary kKind>
__device__ void WriteActivations(const Work& work, uint32_t phase, float sum, int cta, int ncta) {
  const float want = static_cast<float>(phase) * static_cast<float>(phase) * kHidden;
  const float next = fabsf(sum - want) <= 1e-3f * want ? static_cast<float>(phase + 1) : -1.0f;
  const int begin = cta * kHidden / ncta, end = (cta + 1) * kHidden / ncta;
  for (int i = begin + static_cast<int>(threadIdx.x); i < end; i += kConsumers) {
    if (IsTagged(kKind))
      StoreTagged(work.tagged + (phase + 1) % 2 * kHidden + i, next, phase + 1);
    else
      work.activations[(phase + 1) % 2 * kHidden + i] = next;
  }
}

__device__ uint32_t FoldSlot(const uint8_t* slot, int lane) {
  uint32_t fold = 0;
#pragma unroll
  for (int i = 0; i < kPiece / 512; ++i) {
    const uint4 v = reinterpret_cast<const uint4*>(slot)[i * 32 + lane];
    fold ^= v.x ^ v.y ^ v.z ^ v.w;
  }
  return fold;
}

// Reads `pieces` of the block; `base` pieces of it came before. Gives the clocks spent waiting.
__device__ uint32_t Stream(const BlockRing& ring, uint32_t pieces, uint32_t base, int warp, int lane, uint32_t* waited) {
  uint32_t fold = 0;
  RingPosition at = RingPosition::Of(base + warp, ring.shape.slots);
  for (uint32_t piece = warp; piece < pieces; piece += kConsumers / 32) {
    const uint32_t t0 = clock();
    const uint8_t* slot = ring.WaitFull(at);
    *waited += clock() - t0;
    fold ^= FoldSlot(slot, lane);
    ring.Release(at, lane);
    at.Advance(kConsumers / 32, ring.shape.slots);
  }
  return fold;
}

__device__ void AddFold(const Work& work, uint32_t fold, int lane) {
  for (int d = 16; d > 0; d >>= 1) fold ^= __shfl_xor_sync(~0u, fold, d);
  if (lane == 0) atomicXor(work.fold, fold);
}

enum class Edge { kPlain, kProgrammatic };
enum class Start { kAtBegin, kAfterWait, kAtEnd };  // when the next kernel may start

template <Edge kEdge, Start kStart>
__global__ void __launch_bounds__(kConsumers + 32) PhaseKernel(const __grid_constant__ Work work, uint32_t phase) {
  extern __shared__ __align__(128) uint8_t shared[];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  if (kEdge == Edge::kProgrammatic && kStart == Start::kAtBegin) LetNextKernelStart();
  const BlockRing ring(shared, work.ring);
  __syncthreads();
  if (warp == kConsumers / 32) {
    if (lane != 0) return;
    Producer producer(ring);
    const Share share = ShareOf(work, phase, blockIdx.x, gridDim.x);
    const uint32_t ahead = min(min(work.ahead, work.ring.slots), static_cast<int>(share.count));
    for (uint32_t i = 0; i < share.count; ++i) {
      if (kEdge == Edge::kProgrammatic && i == ahead) WaitForKernelBefore();
      producer.Issue(share.first + share.stride * i, kPiece);
    }
    return;
  }
  if (kEdge == Edge::kProgrammatic) WaitForKernelBefore();
  if (kEdge == Edge::kProgrammatic && kStart == Start::kAfterWait) LetNextKernelStart();
  const float sum = ReadActivations<Boundary::kCounter>(work, phase);
  uint32_t waited = 0;
  const uint32_t pieces = ShareOf(work, phase, blockIdx.x, gridDim.x).count;
  const uint32_t fold = Stream(ring, pieces, 0, warp, lane, &waited);
  if (kEdge == Edge::kProgrammatic && kStart == Start::kAtEnd) LetNextKernelStart();
  WriteActivations<Boundary::kCounter>(work, phase, sum, blockIdx.x, gridDim.x);
  AddFold(work, fold, lane);
}

// The same by plain loads: what a kernel without a ring does.
template <Edge kEdge>
__global__ void __launch_bounds__(kConsumers) PlainPhaseKernel(const __grid_constant__ Work work, uint32_t phase) {
  if (kEdge == Edge::kProgrammatic) {
    LetNextKernelStart();
    WaitForKernelBefore();
  }
  const float sum = ReadActivations<Boundary::kCounter>(work, phase);
  const auto* weights = reinterpret_cast<const uint4*>(WeightsOf(work, phase));
  const size_t vectors = size_t{work.pieces[phase % kKinds]} * (kPiece / 16);
  const size_t threads = size_t{gridDim.x} * kConsumers;
  uint32_t fold = 0;
  size_t i = blockIdx.x * size_t{kConsumers} + threadIdx.x;
  for (; i + 7 * threads < vectors; i += 8 * threads) {
    uint4 v[8];
#pragma unroll
    for (int u = 0; u < 8; ++u) v[u] = LoadStreamed(weights + i + u * threads);
#pragma unroll
    for (int u = 0; u < 8; ++u) fold ^= v[u].x ^ v[u].y ^ v[u].z ^ v[u].w;
  }
  for (; i < vectors; i += threads) {
    const uint4 v = LoadStreamed(weights + i);
    fold ^= v.x ^ v.y ^ v.z ^ v.w;
  }
  WriteActivations<Boundary::kCounter>(work, phase, sum, blockIdx.x, gridDim.x);
  AddFold(work, fold, threadIdx.x % 32);
}

template <Boundary kKind>
__global__ void __launch_bounds__(kConsumers + 32) PersistentKernel(const __grid_constant__ Work work) {
  extern __shared__ __align__(128) uint8_t shared[];
  __shared__ volatile uint32_t passed;  // boundaries, for a producer that must wait for them
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, cta = blockIdx.x, ncta = gridDim.x;
  if (threadIdx.x == 0) passed = 0;
  const BlockRing ring(shared, work.ring);
  __syncthreads();
  if (warp == kConsumers / 32) {
    if (lane != 0) return;
    Producer producer(ring);
    for (uint32_t phase = 0; phase < work.phases; ++phase) {
      const Share share = ShareOf(work, phase, cta, ncta);
      for (uint32_t i = 0; i < share.count; ++i) {
        if (static_cast<int>(i) == work.ahead)
          while (passed < phase) {
          }
        producer.Issue(share.first + share.stride * i, kPiece);
      }
    }
    return;
  }
  uint32_t fold = 0, base = 0;
  for (uint32_t phase = 0; phase < work.phases; ++phase) {
    const uint32_t t0 = clock();
    if (phase > 0) WaitForAll<kKind>(work.barrier, phase, ncta, kConsumers);
    if (kKind != Boundary::kTagged && threadIdx.x == 0) passed = phase;
    const uint32_t t1 = clock();
    const float sum = ReadActivations<kKind>(work, phase);
    if (kKind == Boundary::kTagged && threadIdx.x == 0) passed = phase;
    const uint32_t t2 = clock(), pieces = ShareOf(work, phase, cta, ncta).count;
    uint32_t waited = 0;
    fold ^= Stream(ring, pieces, base, warp, lane, &waited);
    base += pieces;
    SyncConsumers(kConsumers);
    if (work.trace != nullptr && threadIdx.x == 0) {
      const uint4 clocks{t1 - t0, t2 - t1, static_cast<uint32_t>(clock()) - t2, waited};
      reinterpret_cast<uint4*>(work.trace)[phase * ncta + cta] = clocks;
    }
    if (kKind == Boundary::kHinted && warp > 0) continue;
    WriteActivations<kKind>(work, phase, sum, cta, ncta);
    Arrive<kKind>(work.barrier, phase + 1, cta, kConsumers);
  }
  AddFold(work, fold, lane);
}

struct Bench {
  const Setup& setup;
  Work work;
  uint32_t want_fold = 0;
  double bytes = 0;

  template <class Body>
  void Measure(const std::string& name, Body body) {
    const Times t = TimeGraph(setup, work.phases, [&](cudaStream_t s) {
      CUDA_OK(cudaMemsetAsync(work.activations, 0, 2 * kHidden * sizeof(float), s));
      CUDA_OK(cudaMemsetAsync(work.tagged, 0, 2 * kHidden * sizeof(uint64_t), s));
      CUDA_OK(cudaMemsetAsync(work.barrier, 0, 4096, s));
      CUDA_OK(cudaMemsetAsync(work.fold, 0, 8, s));  // errors too
      body(s);
    });
    uint32_t got[2];
    CUDA_OK(cudaMemcpy(got, work.fold, 8, cudaMemcpyDeviceToHost));
    const double ideal = bytes / setup.tb_per_s * 1e-6;
    Row(name, Format("%.2f | %.2f..%.2f | %.2f | %.0f %% | %.2f%s%s", t.median, t.low, t.high,
                     bytes / t.median * 1e-6, 100 * ideal / t.median, t.median - ideal,
                     got[0] == want_fold ? "" : " WRONG BYTES", got[1] == 0 ? "" : " READ TOO EARLY"));
  }
};

constexpr int kAll = 1 << 20;

// kb: of ring a block. window_kb: under way at most. ahead_kb: asked for before the boundary.
Work WithRing(Work work, int kb, int window_kb, int ahead_kb, bool contiguous) {
  work.contiguous = contiguous;
  work.ring = {kb * 1024 / kPiece, kPiece, std::min(window_kb, kb) * 1024 / kPiece};
  work.ahead = ahead_kb / (kPiece / 1024);
  return work;
}

template <Edge kEdge, Start kStart>
void GraphOfKernels(const Bench& b, cudaStream_t s, int kb, int window_kb, int ahead_kb, bool contiguous = true) {
  const Work work = WithRing(b.work, kb, window_kb, ahead_kb, contiguous);
  for (uint32_t p = 0; p < work.phases; ++p) {
    const LaunchShape shape{b.setup.sms, kConsumers + 32, work.ring.Bytes(), kEdge == Edge::kProgrammatic && p > 0};
    Launch(s, shape, PhaseKernel<kEdge, kStart>, work, p);
  }
}

template <Boundary kKind>
void OneKernel(const Bench& b, cudaStream_t s, int kb, int window_kb, int ahead_kb, bool contiguous = true) {
  const Work work = WithRing(b.work, kb, window_kb, ahead_kb, contiguous);
  Launch(s, {b.setup.sms, kConsumers + 32, work.ring.Bytes(), false, true}, PersistentKernel<kKind>, work);
}

}  // namespace

void MeasureBoundaries(const Setup& setup) {
  struct Case {
    const char* name;
    double mb[kKinds];
    bool all;  // every variant, or the chief ones
  };
  const Case cases[] = {
      {"no weights", {0, 0, 0, 0}, false},
      {"4 MB", {4, 4, 4, 4}, false},
      {"13 MB", {13, 13, 13, 13}, false},
      {"down of 4 experts, 17.65 MB", {17.65, 17.65, 17.65, 17.65}, false},
      {"O, 23.6 MB", {23.59, 23.59, 23.59, 23.59}, false},
      {"QKV, 29.5 MB", {29.49, 29.49, 29.49, 29.49}, true},
      {"gate_up of 4 experts, 35.3 MB", {35.25, 35.25, 35.25, 35.25}, false},
      {"53 MB", {53, 53, 53, 53}, false},
      {"a layer's QKV, O, gate_up, down in turn: 26.5 MB on average", {29.49, 23.59, 35.25, 17.63}, true},
  };
  const size_t room = setup.quick ? size_t{64} << 20 : size_t{6} << 30;
  Buffer<uint8_t> weights(room);
  FillRandom(setup, weights.get(), room, 2);
  Buffer<float> activations(2 * kHidden);
  Buffer<uint64_t> tagged(2 * kHidden);
  Buffer<uint32_t> barrier(1024), fold(2);
  for (const Case& c : cases) {
    if (setup.quick && c.mb[0] != 0 && c.mb[0] != 4 && !(c.mb[0] != c.mb[1])) continue;
    Bench b{setup, {}};
    Work& work = b.work;
    work = {weights.get(), {}, 0, activations.get(), tagged.get(), barrier.get(), fold.get(), fold.get() + 1, {}, 0, true, nullptr};
    double layer = 0;
    for (int k = 0; k < kKinds; ++k) {
      work.pieces[k] = static_cast<uint32_t>(c.mb[k] * 1e6 / kPiece * (setup.quick ? 0.2 : 1));
      layer += static_cast<double>(work.pieces[k]) * kPiece;
    }
    work.phases = setup.quick ? 8 : 96;
    b.bytes = layer / kKinds;
    Section(Format("b. boundary: %s a phase", c.name).c_str(), "us | range | TB/s | share | us lost a phase");
    // The fold of all phases, by the plain kernel.
    bool first = true;
    auto measure = [&](const std::string& name, auto body) {
      if (first) {
        CUDA_OK(cudaMemset(work.fold, 0, 8));
        activations.Zero();
        for (uint32_t p = 0; p < work.phases; ++p)
          Launch(setup.stream, {4 * setup.sms, kConsumers}, PlainPhaseKernel<Edge::kPlain>, work, p);
        CUDA_OK(cudaStreamSynchronize(setup.stream));
        CUDA_OK(cudaMemcpy(&b.want_fold, work.fold, 4, cudaMemcpyDeviceToHost));
        first = false;
      }
      b.Measure(name, body);
    };
    using enum Edge;
    using enum Start;
    measure("one kernel, counter, ring 208 KB, loads after the barrier",
            [&](cudaStream_t s) { OneKernel<Boundary::kCounter>(b, s, 208, kAll, 0); });
    for (bool contiguous : {true, false})
      for (int window : {kAll, 64, 48, 32, 24})
        if (c.all || (contiguous && (window == kAll || window == 48)))
          measure(Format("one kernel, counter, ring 208 KB running on, %s%s",
                         window == kAll ? "all under way" : Format("%d KB under way", window).c_str(),
                         contiguous ? "" : ", pieces dealt in turn"),
                  [&](cudaStream_t s) { OneKernel<Boundary::kCounter>(b, s, 208, window, kAll, contiguous); });
    if (c.all || layer == 0) {
      Buffer<uint32_t> trace(size_t{work.phases} * setup.sms * 4);
      for (int window : {kAll, 48}) {
        work.trace = trace.get();
        measure("the same, with a trace", [&](cudaStream_t s) { OneKernel<Boundary::kCounter>(b, s, 208, window, kAll); });
        work.trace = nullptr;
        const std::vector<uint32_t> clocks = trace.Host();
        static const char* const kNames[] = {"boundary", "activations", "weights", "of which waiting"};
        for (int k = 0; k < 4; ++k) {
          std::vector<double> all, block;
          for (int cta = 0; cta < setup.sms; ++cta) {
            double sum = 0;
            for (uint32_t p = work.phases / 2; p < work.phases; ++p) {
              all.push_back(clocks[(size_t{p} * setup.sms + cta) * 4 + k] / 1980.0);
              sum += all.back();
            }
            block.push_back(sum / (work.phases - work.phases / 2));
          }
          const Times a = Summary(all), of = Summary(block);
          Row(Format("  us in %s: all blocks and phases; means of blocks", kNames[k]),
              Format("%.2f | %.2f..%.2f | %.2f | %.2f..%.2f | ", a.median, a.low, a.high, of.median, of.low, of.high));
        }
      }
    }
    if (c.all)
      for (int kb : {64, 96, 128, 160})
        measure(Format("one kernel, counter, ring %d KB running on, 48 KB under way", kb),
                [&](cudaStream_t s) { OneKernel<Boundary::kCounter>(b, s, kb, 48, kAll); });
    if (c.all)
      measure("one kernel, flags, ring 208 KB running on, 48 KB under way",
              [&](cudaStream_t s) { OneKernel<Boundary::kFlags>(b, s, 208, 48, kAll); });
    for (int window : {kAll, 48})
      if (c.all || window == 48) {
        measure(Format("one kernel, tagged values, ring 208 KB running on, %d KB under way", std::min(window, 208)),
                [&](cudaStream_t s) { OneKernel<Boundary::kTagged>(b, s, 208, window, kAll); });
        measure(Format("one kernel, tagged values after a hint, ring 208 KB running on, %d KB under way", std::min(window, 208)),
                [&](cudaStream_t s) { OneKernel<Boundary::kHinted>(b, s, 208, window, kAll); });
      }
    measure("graph, plain loads, 4 blocks of 256", [&](cudaStream_t s) {
      for (uint32_t p = 0; p < work.phases; ++p)
        Launch(s, {4 * setup.sms, kConsumers}, PlainPhaseKernel<kPlain>, work, p);
    });
    measure("graph, programmatic, plain loads after the wait", [&](cudaStream_t s) {
      for (uint32_t p = 0; p < work.phases; ++p)
        Launch(s, {4 * setup.sms, kConsumers, 0, p > 0}, PlainPhaseKernel<kProgrammatic>, work, p);
    });
    measure("graph, ring 208 KB", [&](cudaStream_t s) { GraphOfKernels<kPlain, kAtEnd>(b, s, 208, kAll, kAll); });
    for (bool contiguous : {true, false})
      for (int ahead : {0, 32, 64, 104})
        if (c.all || (contiguous && (ahead == 0 || ahead == 104)))
          measure(Format("graph, programmatic, ring 104 KB, %d KB before the wait%s", ahead,
                         contiguous ? "" : ", pieces dealt in turn"),
                  [&](cudaStream_t s) { GraphOfKernels<kProgrammatic, kAtBegin>(b, s, 104, kAll, ahead, contiguous); });
    for (int window : {64, 48, 32})
      if (c.all || window == 48)
        measure(Format("graph, programmatic, ring 104 KB, all before the wait, %d KB under way", window),
                [&](cudaStream_t s) { GraphOfKernels<kProgrammatic, kAtBegin>(b, s, 104, window, kAll); });
    if (c.all) {
      measure("graph, programmatic, ring 104 KB, all before the wait, next kernel let in after the wait",
              [&](cudaStream_t s) { GraphOfKernels<kProgrammatic, kAfterWait>(b, s, 104, kAll, kAll); });
      measure("graph, programmatic, ring 104 KB, next kernel let in when the weights are read",
              [&](cudaStream_t s) { GraphOfKernels<kProgrammatic, kAtEnd>(b, s, 104, kAll, kAll); });
      measure("graph, programmatic, ring 72 KB (three blocks fit), all before the wait",
              [&](cudaStream_t s) { GraphOfKernels<kProgrammatic, kAtBegin>(b, s, 72, kAll, kAll); });
      measure("graph, programmatic, ring 208 KB (one block fits), all before the wait",
              [&](cudaStream_t s) { GraphOfKernels<kProgrammatic, kAtBegin>(b, s, 208, kAll, kAll); });
    }
  }
}

}  // namespace limits
