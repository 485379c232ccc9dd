// Section a: how fast the card gives up its bytes, to whom. Readers: plain 16-byte loads, rings of bulk
// copies by slot size, slots and blocks a SM, the same through a tensor map; what L2 gives for bytes it
// holds; what a phase gains when part of its bytes was prefetched into L2. Every reader folds all bytes into
// one xor, which is checked.
#include <cuda.h>

#include "device/ring.cuh"
#include "host.h"

namespace limits {
namespace {

__device__ uint32_t Fold(uint4 v) { return v.x ^ v.y ^ v.z ^ v.w; }

__device__ void AddToSink(uint32_t fold, uint32_t* sink) {
  for (int d = 16; d > 0; d >>= 1) fold ^= __shfl_xor_sync(~0u, fold, d);
  if (threadIdx.x % 32 == 0) atomicXor(sink, fold);
}

__global__ void FillKernel(uint32_t* data, size_t words, uint32_t seed) {
  for (size_t i = blockIdx.x * size_t{blockDim.x} + threadIdx.x; i < words;
       i += size_t{gridDim.x} * blockDim.x) {
    uint32_t h = static_cast<uint32_t>(i) * 0x9E3779B9u ^ static_cast<uint32_t>(i >> 32) ^ seed;
    h = (h ^ h >> 16) * 0x7FEB352Du;
    h = (h ^ h >> 15) * 0x846CA68Bu;
    data[i] = h ^ h >> 16;
  }
}

// Grid-stride over 16-byte vectors, kAtOnce of them in flight a thread. vectors: a multiple of what one round
// takes, or the tail is read one by one.
template <int kAtOnce>
__global__ void __launch_bounds__(512)
    PlainReader(const uint4* data, size_t vectors, int repeats, uint32_t* sink) {
  const size_t threads = size_t{gridDim.x} * blockDim.x;
  uint32_t fold = 0;
  for (int r = 0; r < repeats; ++r) {
    size_t i = (blockIdx.x + r * 7) % gridDim.x * blockDim.x + threadIdx.x;
    for (; i + (kAtOnce - 1) * threads < vectors; i += kAtOnce * threads) {
      uint4 v[kAtOnce];
#pragma unroll
      for (int u = 0; u < kAtOnce; ++u) v[u] = LoadStreamed(data + i + u * threads);
#pragma unroll
      for (int u = 0; u < kAtOnce; ++u) fold ^= Fold(v[u]);
    }
    for (; i < vectors; i += threads) fold ^= Fold(LoadStreamed(data + i));
  }
  AddToSink(fold, sink);
}

enum class Copy { kBulk, kBulkEvictFirst, kTensor };

// Pieces of slot_bytes; the warps of the grid take them in turn. `repeats` passes over the data, each shifted
// by some blocks so that an SM does not meet its own pieces.
template <Copy kCopy>
__global__ void __launch_bounds__(512)
    RingReader(const __grid_constant__ CUtensorMap map, const uint8_t* data, uint32_t pieces, int slot_bytes,
               int num_slots, int repeats, uint32_t* sink) {
  extern __shared__ __align__(128) uint8_t shared[];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  WarpRing ring;
  ring.Start(shared, warps, warp, lane, num_slots, slot_bytes);
  if (kCopy == Copy::kBulkEvictFirst) ring.policy = EvictFirstPolicy();
  const uint32_t all_warps = gridDim.x * warps;
  uint32_t fold = 0;
  for (int r = 0; r < repeats; ++r) {
    const uint32_t first = (blockIdx.x + r * 7) % gridDim.x * warps + warp;
    uint32_t next = first;
    auto issue = [&] {
      if (kCopy == Copy::kTensor) {
        if (lane == 0) {
          const uint32_t barrier = ring.barriers_at + ring.issue_slot * 8;
          ArriveExpect(barrier, slot_bytes);
          CopyTensor2d(ring.slots_at + ring.issue_slot * slot_bytes, &map, 0, next * (slot_bytes / 1024),
                       barrier);
        }
        if (++ring.issue_slot == num_slots) ring.issue_slot = 0;
        ++ring.in_flight;
        ++ring.flying;
      } else {
        ring.Issue(lane, data + size_t{next} * slot_bytes, slot_bytes);
      }
      next += all_warps;
    };
    while (ring.CanIssue() && next < pieces) issue();
    for (uint32_t piece = first; piece < pieces; piece += all_warps) {
      const uint4* slot = reinterpret_cast<const uint4*>(ring.Wait());
      for (int i = lane; i < slot_bytes / 16; i += 32) fold ^= Fold(slot[i]);
      ring.Release();
      if (next < pieces) issue();
    }
  }
  AddToSink(fold, sink);
}

enum class Trip { kLoad, kAtomic, kFence };

// 8 warps of each block stream pieces of 2 KB with at most `window` of them under way a warp; a ninth makes
// one round trip to L2 after the other, as a boundary between phases does, and gives their mean time in
// clocks.
__global__ void __launch_bounds__(288)
    TripsUnderLoad(const uint8_t* data, uint32_t pieces, int window, Trip trip, uint32_t* small,
                   float* clocks, uint32_t* sink) {
  extern __shared__ __align__(128) uint8_t shared[];
  constexpr int kBytes = 2048, kSlots = 12, kTrips = 100;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  if (warp == 8) {
    if (lane != 0) return;
    uint32_t* own = small + blockIdx.x * 64;
    uint32_t next = 0;
    for (int i = 0; i < 20; ++i) next = atomicAdd(own + next, 0);  // the stream is under way by then
    const int64_t begin = clock64();
    for (int i = 0; i < kTrips; ++i) {
      if (trip == Trip::kLoad) {
        asm volatile("ld.global.cg.u32 %0, [%1];" : "=r"(next) : "l"(own + next) : "memory");
      } else if (trip == Trip::kAtomic) {
        next = atomicAdd(own + next, 0);
      } else {
        *reinterpret_cast<volatile uint32_t*>(own + 8) = next;
        __threadfence();
      }
    }
    clocks[blockIdx.x] = static_cast<float>(clock64() - begin) / kTrips;
    return;
  }
  WarpRing ring;
  ring.Start(shared, 8, warp, lane, kSlots, kBytes);
  ring.window = window;
  const uint32_t all_warps = gridDim.x * 8, first = blockIdx.x * 8 + warp;
  uint32_t fold = 0, next = first;
  for (uint32_t piece = first; window > 0 && piece < pieces; piece += all_warps) {
    do {
      while (next < pieces && ring.CanIssue()) {
        ring.Issue(lane, data + size_t{next} * kBytes, kBytes);
        next += all_warps;
      }
    } while (ring.in_flight == 0);
    const uint4* slot = reinterpret_cast<const uint4*>(ring.Wait());
    for (int i = lane; i < kBytes / 16; i += 32) fold ^= Fold(slot[i]);
    ring.Release();
  }
  AddToSink(fold, sink);
}

enum class Ahead { kBulk, kLine, kLoad };

// Brings the first `bytes` (a multiple of 128) of each piece of 4 KB into L2: by bulk prefetch of `each`
// bytes, by a prefetch of each line of 128 bytes, or by loading them.
__global__ void PrefetchKernel(const uint8_t* data, uint32_t pieces, uint32_t bytes, uint32_t each, Ahead how,
                               uint32_t* sink) {
  const uint32_t parts = bytes / each, all = pieces * parts;
  uint32_t fold = 0;
  for (uint32_t i = blockIdx.x * blockDim.x + threadIdx.x; i < all; i += gridDim.x * blockDim.x) {
    const uint8_t* at = data + size_t{i / parts} * 4096 + i % parts * each;
    if (how == Ahead::kBulk) {
      PrefetchL2(at, each);
    } else if (how == Ahead::kLine) {
      asm volatile("prefetch.global.L2 [%0];" ::"l"(at) : "memory");
    } else {
      for (uint32_t b = 0; b < each; b += 32) {
        uint32_t v;
        asm volatile("ld.global.cg.u32 %0, [%1];" : "=r"(v) : "l"(at + b) : "memory");
        fold ^= v;
      }
    }
  }
  if (fold == 0x12345678u) *sink = fold;
}

__global__ void SpinKernel(uint32_t ns) {
  const uint64_t until = GlobalNanoseconds() + ns;
  while (GlobalNanoseconds() < until) {
  }
}

__global__ void ClockKernel(int64_t* out) {
  const uint64_t t0 = GlobalNanoseconds();
  const int64_t c0 = clock64();
  while (GlobalNanoseconds() < t0 + 2000000) {
  }
  out[0] = clock64() - c0;
  out[1] = static_cast<int64_t>(GlobalNanoseconds() - t0);
}

CUtensorMap MapOf(const uint8_t* data, size_t bytes, int slot_bytes) {
  using Encode = CUresult (*)(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*,
                              const cuuint64_t*, const cuuint32_t*, const cuuint32_t*, CUtensorMapInterleave,
                              CUtensorMapSwizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill);
  void* entry = nullptr;
  cudaDriverEntryPointQueryResult found;
  CUDA_OK(
      cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry, 12000, cudaEnableDefault, &found));
  CUtensorMap map{};
  const cuuint64_t sizes[2] = {256, bytes / 1024};
  const cuuint64_t strides[1] = {1024};
  const cuuint32_t box[2] = {256, static_cast<cuuint32_t>(slot_bytes / 1024)};
  const cuuint32_t steps[2] = {1, 1};
  const CUresult result = reinterpret_cast<Encode>(entry)(
      &map, CU_TENSOR_MAP_DATA_TYPE_UINT32, 2, const_cast<uint8_t*>(data), sizes, strides, box, steps,
      CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_NONE, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
      CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) {
    std::fprintf(stderr, "cuTensorMapEncodeTiled: %d\n", static_cast<int>(result));
    std::exit(1);
  }
  return map;
}

struct RingCase {
  Copy copy;
  int blocks_per_sm, warps, slots, slot_bytes;
  size_t Shared() const { return WarpRing::Bytes(warps, slots, slot_bytes); }
  std::string Name() const {
    return Format("%s %d x %d warps x %d slots of %d B = %.0f KB/SM",
                  copy == Copy::kBulk     ? "bulk"
                  : copy == Copy::kTensor ? "tensor map"
                                          : "bulk, evict first",
                  blocks_per_sm, warps, slots, slot_bytes, blocks_per_sm * Shared() / 1024.0);
  }
};

void LaunchRing(const Setup& setup, cudaStream_t stream, const RingCase& c, const uint8_t* data, size_t bytes,
                int repeats, uint32_t* sink) {
  const LaunchShape shape{c.blocks_per_sm * setup.sms, c.warps * 32, c.Shared()};
  const auto pieces = static_cast<uint32_t>(bytes / c.slot_bytes);
  CUtensorMap map{};
  if (c.copy == Copy::kTensor) map = MapOf(data, bytes, c.slot_bytes);
  auto kernel = c.copy == Copy::kBulk     ? RingReader<Copy::kBulk>
                : c.copy == Copy::kTensor ? RingReader<Copy::kTensor>
                                          : RingReader<Copy::kBulkEvictFirst>;
  Launch(stream, shape, kernel, map, data, pieces, c.slot_bytes, c.slots, repeats, sink);
}

}  // namespace

void FillRandom(const Setup& setup, void* data, size_t bytes, uint32_t seed) {
  Launch(setup.stream, {setup.sms * 8, 256}, FillKernel, static_cast<uint32_t*>(data), bytes / 4, seed);
  CUDA_OK(cudaStreamSynchronize(setup.stream));
}

double SmClockMhz(const Setup& setup) {
  Buffer<int64_t> out(2);
  Launch(setup.stream, {1, 1}, ClockKernel, out.get());
  CUDA_OK(cudaStreamSynchronize(setup.stream));
  const auto v = out.Host();
  return 1e3 * static_cast<double>(v[0]) / static_cast<double>(v[1]);
}

void MeasureCeilings(Setup& setup) {
  const size_t all = setup.quick ? size_t{32} << 20 : size_t{16} << 30;
  Buffer<uint8_t> data(all);
  FillRandom(setup, data.get(), all, 1);
  Buffer<uint32_t> sink(1);
  sink.Zero();

  uint32_t truth = 0;
  auto check = [&](const std::string& name, int passes) {
    // Each pass folds the same bytes, so an even number of passes gives 0.
    const uint32_t got = sink.Host()[0], want = passes % 2 ? truth : 0;
    if (got != want) std::printf("| WRONG BYTES in %s: %08x, not %08x |\n", name.c_str(), got, want);
    sink.Zero();
  };
  const int passes = setup.quick ? 1 : 2 + setup.replays;

  Section("a. read-only bandwidth by size: plain loads, 2 blocks of 512 a SM, 8 in flight", kRateColumns);
  for (size_t mb : {64, 128, 256, 512, 1024, 4096, 16384}) {
    const size_t bytes = std::min(all, mb << 20);
    const Times t = TimeGraph(setup, 1, [&](cudaStream_t s) {
      Launch(s, {2 * setup.sms, 512}, PlainReader<8>, reinterpret_cast<const uint4*>(data.get()), bytes / 16,
             1, sink.get());
    });
    RateRow(setup, Format("%zu MB (L2 warm with its tail)", bytes >> 20), t, bytes);
    if (bytes == all) {
      setup.tb_per_s = bytes / t.median * 1e-6;
      truth = sink.Host()[0];  // an odd number of passes
      break;
    }
    sink.Zero();
  }
  sink.Zero();
  if (passes % 2 == 0) truth = 0;

  const size_t some = std::min(all, size_t{4} << 30);
  truth = 0;
  {
    Launch(setup.stream, {setup.sms, 512}, PlainReader<1>, reinterpret_cast<const uint4*>(data.get()),
           some / 16, 1, sink.get());
    truth = sink.Host()[0];
    sink.Zero();
  }
  Section("a. readers of 4 GB", kRateColumns);
  auto plain = [&](auto kernel, const char* name, int blocks) {
    const Times t = TimeGraph(setup, 1, [&](cudaStream_t s) {
      Launch(s, {blocks * setup.sms, 512}, kernel, reinterpret_cast<const uint4*>(data.get()), some / 16, 1,
             sink.get());
    });
    RateRow(setup, Format("plain loads, %s in flight, %d blocks of 512 a SM", name, blocks), t, some);
    check(name, passes);
  };
  for (int blocks : {1, 2, 4}) plain(PlainReader<4>, "4", blocks);
  for (int blocks : {1, 2, 4}) plain(PlainReader<8>, "8", blocks);
  const RingCase cases[] = {
      {Copy::kBulk, 1, 8, 2, 2048},
      {Copy::kBulk, 1, 8, 4, 1024},
      {Copy::kBulk, 1, 8, 4, 2048},
      {Copy::kBulk, 1, 8, 8, 1024},
      {Copy::kBulk, 1, 8, 6, 2048},
      {Copy::kBulk, 1, 8, 3, 4096},
      {Copy::kBulk, 1, 8, 12, 2048},
      {Copy::kBulk, 1, 8, 6, 4096},
      {Copy::kBulk, 1, 8, 3, 8192},
      {Copy::kBulk, 1, 8, 24, 1024},
      {Copy::kBulk, 1, 4, 12, 4096},
      {Copy::kBulk, 1, 12, 4, 4096},
      {Copy::kBulk, 1, 16, 3, 4096},
      {Copy::kBulk, 1, 16, 6, 2048},
      {Copy::kBulk, 1, 4, 3, 16384},
      {Copy::kBulk, 2, 8, 3, 4096},
      {Copy::kBulk, 2, 8, 6, 2048},
      {Copy::kBulk, 2, 4, 6, 4096},
      {Copy::kBulk, 3, 8, 4, 2048},
      {Copy::kBulkEvictFirst, 1, 8, 6, 4096},
      {Copy::kBulkEvictFirst, 1, 8, 12, 2048},
      {Copy::kBulkEvictFirst, 2, 8, 3, 4096},
      {Copy::kTensor, 1, 8, 6, 4096},
      {Copy::kTensor, 1, 8, 3, 8192},
      {Copy::kTensor, 2, 8, 3, 4096},
  };
  for (const RingCase& c : cases) {
    const Times t = TimeGraph(
        setup, 1, [&](cudaStream_t s) { LaunchRing(setup, s, c, data.get(), some, 1, sink.get()); });
    RateRow(setup, c.Name(), t, some);
    check(c.Name(), passes);
  }
  // Pieces that do not begin at a multiple of 128 bytes, beside their neighbours that do.
  for (const auto& [slots, bytes] : {std::pair{6, 4080},
                                     {6, 4096},
                                     {6, 4064},
                                     {9, 2720},
                                     {9, 2816},
                                     {18, 1360},
                                     {17, 1408},
                                     {4, 5440},
                                     {4, 5504}}) {
    const RingCase c{Copy::kBulk, 1, 8, slots, bytes};
    const size_t whole = some / bytes * bytes;
    const Times t = TimeGraph(
        setup, 1, [&](cudaStream_t s) { LaunchRing(setup, s, c, data.get(), whole, 1, sink.get()); });
    RateRow(setup, c.Name() + (bytes % 128 ? ", not aligned to 128" : ""), t, whole);
    sink.Zero();
  }

  Section("a. bytes that L2 holds: 20 passes over one buffer, each pass by other SMs", kRateColumns);
  const int laps = setup.quick ? 2 : 20;
  for (size_t mb : {4, 8, 16, 20, 24, 28, 32, 40, 48, 56}) {
    const size_t bytes = std::min(all, mb << 20);
    Times t = TimeGraph(setup, laps, [&](cudaStream_t s) {
      Launch(s, {2 * setup.sms, 512}, PlainReader<8>, reinterpret_cast<const uint4*>(data.get()), bytes / 16,
             laps, sink.get());
    });
    RateRow(setup, Format("plain loads, %zu MB", mb), t, bytes);
    t = TimeGraph(setup, laps, [&](cudaStream_t s) {
      LaunchRing(setup, s, {Copy::kBulk, 1, 8, 6, 4096}, data.get(), bytes, laps, sink.get());
    });
    RateRow(setup, Format("bulk 8 warps x 6 slots of 4 KB, %zu MB", mb), t, bytes);
  }
  sink.Zero();

  Section("a. one round trip to L2 while all SMs read", "us | TB/s read meanwhile | share");
  Buffer<uint32_t> small(static_cast<size_t>(setup.sms) * 64);
  small.Zero();
  Buffer<float> clocks(setup.sms);
  for (const auto& [trip, name] : {std::pair{Trip::kLoad, "load that hits L2"},
                                   {Trip::kAtomic, "atomic"},
                                   {Trip::kFence, "store and fence"}})
    for (int window : {0, 1, 2, 3, 4, 6, 12}) {
      const size_t bytes = std::min(all, size_t{2} << 30);
      const Times t = TimeGraph(setup, 1, [&](cudaStream_t s) {
        Launch(s, {setup.sms, 288, WarpRing::Bytes(8, 12, 2048)}, TripsUnderLoad, data.get(),
               static_cast<uint32_t>(bytes / 2048), window, trip, small.get(), clocks.get(), sink.get());
      });
      const auto means = clocks.Host();
      const Times trips = Summary(std::vector<double>(means.begin(), means.end()));
      const double rate = window ? bytes / t.median * 1e-6 : 0;
      Row(Format("%s, %d KB of each SM under way", name, window * 16),
          Format("%.2f (%.2f..%.2f) | %.2f | %.0f %%", trips.median / 1980, trips.low / 1980,
                 trips.high / 1980, rate, 100 * rate / setup.tb_per_s));
    }
  sink.Zero();

  Section("a. a phase of 29.5 MB of which a part was brought into L2 before (difference of two graphs)",
          "us | range | TB/s | gain us | bytes saved as HBM time us");
  const RingCase phase{Copy::kBulk, 1, 8, 6, 4096};
  const uint32_t pieces = setup.quick ? 264 : 7200;
  const size_t phase_bytes = size_t{pieces} * 4096;
  const int parts = setup.quick ? 2 : 40;
  double cold = 0;
  struct Method {
    const char* name;
    Ahead how;
    uint32_t each;
  };
  const Method methods[] = {{"nothing", Ahead::kBulk, 128},
                            {"bulk prefetch of 4096", Ahead::kBulk, 4096},
                            {"bulk prefetch of 1024", Ahead::kBulk, 1024},
                            {"bulk prefetch of 128", Ahead::kBulk, 128},
                            {"prefetch of lines", Ahead::kLine, 128},
                            {"loads", Ahead::kLoad, 128}};
  for (const Method& m : methods)
    for (int percent : {25, 50, 100}) {
      if (m.how == Ahead::kBulk && percent < 100 && m.each != 1024) continue;
      const bool nothing = &m == methods;
      const uint32_t ahead = nothing ? 0 : 4096 * percent / 100;
      auto graph = [&](bool with_phase) {
        return TimeGraph(setup, parts, [&](cudaStream_t s) {
          for (int i = 0; i < parts; ++i) {
            const uint8_t* at = data.get() + i * phase_bytes;
            if (ahead > 0)
              Launch(s, {setup.sms * 4, 256}, PrefetchKernel, at, pieces, ahead, m.each, m.how, sink.get());
            Launch(s, {1, 1}, SpinKernel, 12000u);
            if (with_phase) LaunchRing(setup, s, phase, at, phase_bytes, 1, sink.get());
          }
        });
      };
      const Times with = graph(true), without = graph(false);
      const double us = with.median - without.median;
      if (nothing) cold = us;
      Row(Format("%s, %d %% in L2", m.name, nothing ? 0 : percent),
          Format("%.2f | %.2f..%.2f | %.2f | %.2f | %.2f", us, with.low - without.high,
                 with.high - without.low, phase_bytes / us * 1e-6, cold - us,
                 static_cast<double>(pieces) * ahead / setup.tb_per_s * 1e-6));
    }
}

}  // namespace limits
