// Section b: what lies between two phases of a step that depend on each other. A phase here reads its weights
// (folds them into an xor), and the 2880 activations that all blocks of the phase before wrote; every block
// computes their sum of squares, as a norm does, and writes its share of the next ones. Activations of phase
// p are all p: a block that reads too early finds another number, and the check after the run says so.
//
// One phase function serves all kinds of boundary: kernels in a graph, with and without programmatic
// dependent launch, and one persistent kernel.
#include "device/barrier.cuh"
#include "device/ring.cuh"
#include "host.h"

namespace limits {
namespace {

constexpr int kHidden = 2880;
constexpr int kPiece = 4096;
constexpr int kKinds = 4;  // sizes that follow each other
constexpr int kMaxCopies = 16;

struct Work {
  const uint8_t* weights;
  uint32_t pieces[kKinds];  // of phase p: pieces[p % kKinds]
  uint32_t phases;
  float* activations;  // [2, kMaxCopies, kHidden]
  uint64_t* tagged;    // [2, kMaxCopies, kHidden]
  uint32_t* barrier;   // [1024]
  uint32_t* fold;      // xor of all pieces
  uint32_t* errors;
  int num_slots, window;
  bool quiet;       // the ring runs into the next phase only when the block has arrived
  int copies;       // of the activations: every block reads one, every block writes its rows to all
  int ahead;        // slots a warp that may be filled before the boundary
  uint32_t* trace;  // [phases, ncta, 4] clocks: at the boundary, reading activations, reading weights,
                    // waiting for them
};

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
  __syncthreads();
  float sum = 0;
  for (int w = 0; w < static_cast<int>(blockDim.x / 32); ++w) sum += partial[w];
  __syncthreads();
  return sum;
}

// The weights of a warp over all phases, in order; may run ahead of the phase that is read.
struct Cursor {
  uint32_t phase, piece;
  const uint8_t* weights;
};

__device__ void Advance(const Work& work, Cursor& c, uint32_t first) {
  while (c.phase < work.phases && c.piece >= work.pieces[c.phase % kKinds]) {
    ++c.phase;
    c.piece = first;
    c.weights = WeightsOf(work, c.phase);
  }
}

// Fills the ring up to `limit` slots, with pieces of phases up to `last`.
__device__ void TopUp(const Work& work, WarpRing& ring, Cursor& c, uint32_t last, int limit, uint32_t first,
                      uint32_t step, int lane) {
  while (ring.in_flight < limit && c.phase <= last && c.phase < work.phases && ring.CanIssue()) {
    ring.Issue(lane, c.weights + size_t{c.piece} * kPiece, kPiece);
    c.piece += step;
    Advance(work, c, first);
  }
}

// Reads the activations of `phase`; true if all are right. Their sum of squares stands for the norm.
template <Boundary kKind>
__device__ float ReadActivations(const Work& work, uint32_t phase) {
  float sum = 0;
  bool right = true;
  if (IsTagged(kKind)) {
    const uint64_t* in = work.tagged + (phase % 2 * kMaxCopies + blockIdx.x % work.copies) * kHidden;
    constexpr int kEach = 12;
    for (int base = threadIdx.x; base < kHidden; base += kEach * blockDim.x) {
      uint64_t word[kEach];
      bool all;
      do {
        all = true;
#pragma unroll
        for (int u = 0; u < kEach; ++u) {
          const int i = base + u * blockDim.x;
          word[u] = i < kHidden ? LoadTagged(in + i) : uint64_t{phase} << 32;
        }
#pragma unroll
        for (int u = 0; u < kEach; ++u) all &= HasTag(word[u], phase);
      } while (!all);
#pragma unroll
      for (int u = 0; u < kEach; ++u) {
        const float v = __uint_as_float(static_cast<uint32_t>(word[u]));
        if (base + u * blockDim.x < kHidden) {
          sum += v * v;
          right &= v == static_cast<float>(phase);
        }
      }
    }
  } else {
    const float* in = work.activations + (phase % 2 * kMaxCopies + blockIdx.x % work.copies) * kHidden;
    const auto want = static_cast<float>(phase);
    constexpr int kEach = 3;  // loads under way at once
    for (int base = threadIdx.x * 4; base < kHidden; base += kEach * blockDim.x * 4) {
      float4 v[kEach];
#pragma unroll
      for (int u = 0; u < kEach; ++u) {
        const int i = base + u * blockDim.x * 4;
        v[u] = i < kHidden ? LoadActivation4(in + i) : float4{0, 0, 0, 0};
      }
#pragma unroll
      for (int u = 0; u < kEach; ++u)
        if (base + u * static_cast<int>(blockDim.x) * 4 < kHidden) {
          sum += v[u].x * v[u].x + v[u].y * v[u].y + v[u].z * v[u].z + v[u].w * v[u].w;
          right &= v[u].x == want && v[u].y == want && v[u].z == want && v[u].w == want;
        }
    }
  }
  if (!right) atomicAdd(work.errors, 1);
  return BlockSum(sum);
}

template <Boundary kKind>
__device__ void WriteActivations(const Work& work, uint32_t phase, float sum, int cta, int ncta) {
  const float want = static_cast<float>(phase) * static_cast<float>(phase) * kHidden;
  const float next = fabsf(sum - want) <= 1e-3f * want ? static_cast<float>(phase + 1) : -1.0f;
  const int begin = cta * kHidden / ncta, rows = (cta + 1) * kHidden / ncta - begin;
  for (int i = threadIdx.x; i < rows * work.copies; i += blockDim.x) {
    const int at = ((phase + 1) % 2 * kMaxCopies + i / rows) * kHidden + begin + i % rows;
    if (IsTagged(kKind))
      StoreTagged(work.tagged + at, next, phase + 1);
    else
      work.activations[at] = next;
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

// Reads the pieces of `phase` that are this warp's; the cursor fills the ring behind the reading.
__device__ uint32_t Stream(const Work& work, WarpRing& ring, Cursor& cursor, uint32_t phase, uint32_t last,
                           uint32_t first, uint32_t step, int lane, uint32_t* waited = nullptr) {
  uint32_t fold = 0;
  for (uint32_t piece = first; piece < work.pieces[phase % kKinds]; piece += step) {
    // Beyond the phase itself the ring fills only as far as it may.
    if (ring.in_flight == 0) TopUp(work, ring, cursor, phase, ring.num_slots, first, step, lane);
    const uint32_t t0 = waited ? static_cast<uint32_t>(clock()) : 0;
    const uint8_t* slot = ring.Wait();
    if (waited) *waited += static_cast<uint32_t>(clock()) - t0;
    fold ^= FoldSlot(slot, lane);
    ring.Release();
    TopUp(work, ring, cursor, phase, ring.num_slots, first, step, lane);
    if (!work.quiet) TopUp(work, ring, cursor, last, work.ahead, first, step, lane);
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
__global__ void __launch_bounds__(256) PhaseKernel(const __grid_constant__ Work work, uint32_t phase) {
  extern __shared__ __align__(128) uint8_t shared[];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  const uint32_t first = blockIdx.x * warps + warp, step = gridDim.x * warps;
  if (kEdge == Edge::kProgrammatic && kStart == Start::kAtBegin) LetNextKernelStart();
  WarpRing ring;
  ring.Start(shared, warps, warp, lane, work.num_slots, kPiece);
  ring.window = work.window;
  Cursor cursor{phase, first, WeightsOf(work, phase)};
  if (first >= work.pieces[phase % kKinds]) ++cursor.phase;
  TopUp(work, ring, cursor, phase, min(work.ahead, ring.num_slots), first, step, lane);
  if (kEdge == Edge::kProgrammatic) WaitForKernelBefore();
  if (kEdge == Edge::kProgrammatic && kStart == Start::kAfterWait) LetNextKernelStart();
  TopUp(work, ring, cursor, phase, ring.num_slots, first, step, lane);
  const float sum = ReadActivations<Boundary::kCounter>(work, phase);
  const uint32_t fold = Stream(work, ring, cursor, phase, phase, first, step, lane);
  if (kEdge == Edge::kProgrammatic && kStart == Start::kAtEnd) LetNextKernelStart();
  WriteActivations<Boundary::kCounter>(work, phase, sum, blockIdx.x, gridDim.x);
  AddFold(work, fold, lane);
}

// The same by plain loads: what a kernel without a ring does.
template <Edge kEdge>
__global__ void __launch_bounds__(512) PlainPhaseKernel(const __grid_constant__ Work work, uint32_t phase) {
  if (kEdge == Edge::kProgrammatic) {
    LetNextKernelStart();
    WaitForKernelBefore();
  }
  const float sum = ReadActivations<Boundary::kCounter>(work, phase);
  const auto* weights = reinterpret_cast<const uint4*>(WeightsOf(work, phase));
  const size_t vectors = size_t{work.pieces[phase % kKinds]} * (kPiece / 16);
  const size_t threads = size_t{gridDim.x} * blockDim.x;
  uint32_t fold = 0;
  size_t i = blockIdx.x * size_t{blockDim.x} + threadIdx.x;
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

template <Boundary kKind, bool kTrace = false>
__global__ void __launch_bounds__(256) PersistentKernel(const __grid_constant__ Work work) {
  extern __shared__ __align__(128) uint8_t shared[];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  const uint32_t first = blockIdx.x * warps + warp, step = gridDim.x * warps;
  __shared__ volatile uint32_t passed, arrived;
  if (threadIdx.x == 0) {
    passed = 0;
    arrived = 0;
  }
  __syncthreads();
  WarpRing ring;
  ring.Start(shared, warps, warp, lane, work.num_slots, kPiece);
  ring.window = work.window;
  Cursor cursor{0, first, work.weights};
  Advance(work, cursor, first);
  uint32_t fold = 0;
  for (uint32_t phase = 0; phase < work.phases; ++phase) {
    if (!work.quiet) TopUp(work, ring, cursor, phase, work.ahead, first, step, lane);
    const uint32_t t0 = kTrace ? static_cast<uint32_t>(clock()) : 0;
    if ((kKind == Boundary::kCounter || kKind == Boundary::kHinted) && phase > 0 &&
        work.window <= work.num_slots) {
      // The ring goes on filling while the boundary is waited for.
      for (;;) {
        if (!work.quiet || __any_sync(~0u, arrived == phase))
          TopUp(work, ring, cursor, phase, work.ahead, first, step, lane);
        if (warp == 0) {
          if (__any_sync(~0u, lane == 0 && (kKind == Boundary::kHinted
                                                ? LoadRelaxed(work.barrier)
                                                : LoadAcquire(work.barrier)) >= phase * gridDim.x)) {
            if (lane == 0) passed = phase;
            break;
          }
        } else if (__any_sync(~0u, passed == phase)) {
          break;
        }
      }
      __syncthreads();
    } else if (kKind != Boundary::kTagged && phase > 0) {
      WaitForAll<kKind>(work.barrier, phase, gridDim.x);
    }
    if (kKind != Boundary::kTagged) TopUp(work, ring, cursor, phase, work.num_slots, first, step, lane);
    const uint32_t t1 = kTrace ? static_cast<uint32_t>(clock()) : 0;
    const float sum = ReadActivations<kKind>(work, phase);
    const uint32_t t2 = kTrace ? static_cast<uint32_t>(clock()) : 0;
    uint32_t waited = 0;
    fold ^= Stream(work, ring, cursor, phase, phase + 1, first, step, lane, kTrace ? &waited : nullptr);
    if (kTrace) __syncthreads();
    if (kTrace && threadIdx.x == 0)
      reinterpret_cast<uint4*>(work.trace)[phase * gridDim.x + blockIdx.x] = {
          t1 - t0, t2 - t1, static_cast<uint32_t>(clock()) - t2, waited};
    if (kKind == Boundary::kHinted) {
      __syncthreads();
      if (warp > 0) continue;
    }
    WriteActivations<kKind>(work, phase, sum, blockIdx.x, gridDim.x);
    if (kKind != Boundary::kTagged) Arrive<kKind>(work.barrier, phase + 1, blockIdx.x);
    if (threadIdx.x == 0) arrived = phase + 1;
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
      CUDA_OK(cudaMemsetAsync(work.activations, 0, 2 * kMaxCopies * kHidden * sizeof(float), s));
      CUDA_OK(cudaMemsetAsync(work.tagged, 0, 2 * kMaxCopies * kHidden * sizeof(uint64_t), s));
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

template <Edge kEdge, Start kStart>
void GraphOfKernels(const Bench& b, cudaStream_t s, int slots, int ahead, int copies = 1) {
  Work work = b.work;
  work.copies = copies;
  work.num_slots = slots;
  work.ahead = ahead;
  for (uint32_t p = 0; p < work.phases; ++p) {
    const LaunchShape shape{b.setup.sms, 256, WarpRing::Bytes(8, slots, kPiece),
                            kEdge == Edge::kProgrammatic && p > 0};
    Launch(s, shape, PhaseKernel<kEdge, kStart>, work, p);
  }
}

template <Boundary kKind, bool kTrace = false>
void OneKernel(const Bench& b, cudaStream_t s, int slots, int ahead, int window = 1 << 20, int copies = 1,
               bool quiet = false) {
  Work work = b.work;
  work.copies = copies;
  work.quiet = quiet;
  work.window = window;
  work.num_slots = slots;
  work.ahead = ahead;
  Launch(s, {b.setup.sms, 256, WarpRing::Bytes(8, slots, kPiece), false, true},
         PersistentKernel<kKind, kTrace>, work);
}

// Of the later half of the phases: over all blocks and phases, then over the means of the blocks.
void PrintTrace(const std::vector<uint32_t>& clocks, int phases, int blocks) {
  static const char* const kNames[] = {"at the boundary", "reading activations", "reading weights",
                                       "of that waiting for them"};
  for (int k = 0; k < 4; ++k) {
    std::vector<double> all, means;
    for (int block = 0; block < blocks; ++block) {
      double sum = 0;
      for (int p = phases / 2; p < phases; ++p) {
        all.push_back(clocks[(p * blocks + block) * 4 + k] / 1980.0);
        sum += all.back();
      }
      means.push_back(sum / (phases - phases / 2));
    }
    const Times a = Summary(all), of = Summary(means);
    Row(Format("- us %s (range of the blocks' means %.2f..%.2f)", kNames[k], of.low, of.high),
        Format("%.2f | %.2f..%.2f | | | ", a.median, a.low, a.high));
  }
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
  Buffer<float> activations(2 * kMaxCopies * kHidden);
  Buffer<uint64_t> tagged(2 * kMaxCopies * kHidden);
  Buffer<uint32_t> barrier(1024), fold(2);
  for (const Case& c : cases) {
    if (setup.quick && c.mb[0] != 0 && c.mb[0] != 4 && !(c.mb[0] != c.mb[1])) continue;
    Bench b{setup, {}};
    Work& work = b.work;
    work = {};
    work.weights = weights.get();
    work.activations = activations.get();
    work.tagged = tagged.get();
    work.barrier = barrier.get();
    work.fold = fold.get();
    work.errors = fold.get() + 1;
    work.window = 1 << 20;
    work.copies = 1;
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
          Launch(setup.stream, {2 * setup.sms, 512}, PlainPhaseKernel<Edge::kPlain>, work, p);
        CUDA_OK(cudaStreamSynchronize(setup.stream));
        CUDA_OK(cudaMemcpy(&b.want_fold, work.fold, 4, cudaMemcpyDeviceToHost));
        first = false;
      }
      b.Measure(name, body);
    };
    using enum Edge;
    using enum Start;
    measure("graph, plain loads, 2 blocks of 512", [&](cudaStream_t s) {
      for (uint32_t p = 0; p < work.phases; ++p)
        Launch(s, {2 * setup.sms, 512}, PlainPhaseKernel<kPlain>, work, p);
    });
    measure("graph, programmatic, plain loads after the wait", [&](cudaStream_t s) {
      for (uint32_t p = 0; p < work.phases; ++p)
        Launch(s, {2 * setup.sms, 512, 0, p > 0}, PlainPhaseKernel<kProgrammatic>, work, p);
    });
    measure("graph, ring 192 KB", [&](cudaStream_t s) { GraphOfKernels<kPlain, kAtEnd>(b, s, 6, 6); });
    measure("graph, programmatic, ring 96 KB, loads after the wait",
            [&](cudaStream_t s) { GraphOfKernels<kProgrammatic, kAtBegin>(b, s, 3, 0); });
    if (c.all)
      for (int ahead : {1, 2})
        measure(Format("graph, programmatic, ring 96 KB, %d KB before the wait", ahead * 32),
                [&](cudaStream_t s) { GraphOfKernels<kProgrammatic, kAtBegin>(b, s, 3, ahead); });
    measure("graph, programmatic, ring 96 KB, 96 KB before the wait",
            [&](cudaStream_t s) { GraphOfKernels<kProgrammatic, kAtBegin>(b, s, 3, 3); });
    if (c.all) {
      measure("the same, next kernel let in after the wait",
              [&](cudaStream_t s) { GraphOfKernels<kProgrammatic, kAfterWait>(b, s, 3, 3); });
      measure("the same, next kernel let in when the weights are read",
              [&](cudaStream_t s) { GraphOfKernels<kProgrammatic, kAtEnd>(b, s, 3, 3); });
      measure("graph, programmatic, ring 64 KB, 64 KB before the wait",
              [&](cudaStream_t s) { GraphOfKernels<kProgrammatic, kAtBegin>(b, s, 2, 2); });
      measure("graph, programmatic, ring 192 KB (one block fits), 192 KB before the wait",
              [&](cudaStream_t s) { GraphOfKernels<kProgrammatic, kAtBegin>(b, s, 6, 6); });
    }
    measure("one kernel, counter, ring 192 KB, loads after the barrier",
            [&](cudaStream_t s) { OneKernel<Boundary::kCounter>(b, s, 6, 0); });
    measure("one kernel, counter, ring 192 KB running on",
            [&](cudaStream_t s) { OneKernel<Boundary::kCounter>(b, s, 6, 6); });
    for (int copies : {4})
      if (c.all || layer == 0) {
        measure(Format("graph, programmatic, ring 96 KB, 96 KB before the wait, %d copies of the activations",
                       copies),
                [&](cudaStream_t s) { GraphOfKernels<kProgrammatic, kAtBegin>(b, s, 3, 3, copies); });
        measure(
            Format("one kernel, counter, ring 192 KB running on, at most 64 KB under way, %d copies", copies),
            [&](cudaStream_t s) { OneKernel<Boundary::kCounter>(b, s, 6, 6, 2, copies); });
      }
    for (int window : {1, 2, 3, 6}) {
      measure(Format("one kernel, counter, ring 192 KB running on after the arrival, at most %d KB under way",
                     window * 32),
              [&](cudaStream_t s) { OneKernel<Boundary::kCounter>(b, s, 6, 6, window, 1, true); });
      measure(Format("one kernel, tagged values after a hint, ring running on after the arrival, at most %d "
                     "KB under way",
                     window * 32),
              [&](cudaStream_t s) { OneKernel<Boundary::kHinted>(b, s, 6, 6, window, 1, true); });
    }
    for (int window : {1, 2, 3, 6})
      measure(
          Format("one kernel, tagged values after a hint, ring 192 KB running on, at most %d KB under way",
                 window * 32),
          [&](cudaStream_t s) { OneKernel<Boundary::kHinted>(b, s, 6, 6, window); });
    for (int window : {1, 2, 3, 4, 6})
      if (c.all || window == 2)
        measure(Format("one kernel, counter, ring 192 KB running on, at most %d KB under way", window * 32),
                [&](cudaStream_t s) { OneKernel<Boundary::kCounter>(b, s, 6, 6, window); });
    if (c.all || layer == 0) {
      Buffer<uint32_t> trace(size_t{work.phases} * setup.sms * 4);
      work.trace = trace.get();
      measure("one kernel, tagged values after a hint, ring 192 KB running on, 32 KB under way, with a trace",
              [&](cudaStream_t s) { OneKernel<Boundary::kHinted, true>(b, s, 6, 6, 1); });
      PrintTrace(trace.Host(), work.phases, setup.sms);
      for (int window : {1 << 20, 2}) {
        work.trace = trace.get();
        measure(Format("one kernel, counter, ring 192 KB running on, %s, with a trace",
                       window == 2 ? "64 KB under way" : "all under way"),
                [&](cudaStream_t s) { OneKernel<Boundary::kCounter, true>(b, s, 6, 6, window); });
        work.trace = nullptr;
        PrintTrace(trace.Host(), work.phases, setup.sms);
      }
    }
    measure("one kernel, flags, ring 192 KB running on",
            [&](cudaStream_t s) { OneKernel<Boundary::kFlags>(b, s, 6, 6); });
    measure("one kernel, tagged values, ring 192 KB, loads after the boundary",
            [&](cudaStream_t s) { OneKernel<Boundary::kTagged>(b, s, 6, 0); });
    measure("one kernel, tagged values, ring 192 KB running on",
            [&](cudaStream_t s) { OneKernel<Boundary::kTagged>(b, s, 6, 6); });
    if (c.all)
      for (int slots : {2, 3, 4})
        measure(Format("one kernel, counter, ring %d KB running on, at most 64 KB under way", slots * 32),
                [&](cudaStream_t s) { OneKernel<Boundary::kCounter>(b, s, slots, slots, 2); });
  }
}

}  // namespace limits
