// Section f: a decode step of true shape, one sequence: the 20b's 24 and the 120b's 36 layers, bf16 dense
// weights, MXFP4 experts, all dependencies real, as a graph of kernels (plain and programmatic) and as one
// persistent kernel. One layer is compared with a computation in double on the host, and all executors must
// give the same tokens.
#include <cmath>
#include <memory>

#include "device/barrier.cuh"
#include "host.h"
#include "step/phases.cuh"
#include "step/reference.h"

namespace limits {
namespace {

using namespace step;

struct Options {
  int slots = 2, window = 2;  // of a warp: pieces that its ring holds, and that are under way at most
  bool ahead = true;          // the ring runs into the next phase
  bool wait = true;           // false: no dependencies, what streams and arithmetic alone take
  bool prefetch = false;      // loads of the next layer's QKV into L2 while the router is waited for
  bool programmatic = true;
  bool quiet = false;  // the ring runs into the next phase only when the block's arrival is done
};

extern __shared__ __align__(128) uint8_t g_shared[];

__device__ void ArriveCounter(uint32_t* counter) {
  __syncthreads();
  if (threadIdx.x == 0) AddRelease(counter, 1);
}

constexpr int kTracePoints = 10;

__global__ void __launch_bounds__(kThreads, 1) StepKernel(const __grid_constant__ Model m, Options o) {
  Shared& shared = *reinterpret_cast<Shared*>(g_shared);
  auto& partial = *reinterpret_cast<AttentionPartial*>(g_shared + sizeof(Shared));
  if (threadIdx.x == 0) {
    shared.passed = 0;
    shared.arrived = 0;
  }
  Block b(m, shared, g_shared + sizeof(Shared) + sizeof(AttentionPartial), o.slots, o.window);
  b.ahead = o.ahead;
  __syncthreads();
  const uint32_t all = b.ncta, step = *const_cast<volatile uint32_t*>(&m.state->step);
  uint32_t* counter = m.barriers;
  uint32_t* attention_counter = m.barriers + 32;
  uint32_t target = step * m.layers * 4 * all, attention_target = step * m.layers * kKvHeads;
  // A fence takes as long as all that the SM has under way: a quiet block asks for nothing new until it has
  // arrived.
  uint32_t arrivals = 0;
  auto arrive = [&](uint32_t* c) {
    ArriveCounter(c);
    ++arrivals;
    if (threadIdx.x == 0) shared.arrived = arrivals;
  };
  auto fill = [&] {
    if (o.ahead && (!o.quiet || __any_sync(~0u, shared.arrived == arrivals))) b.Fill();
  };
  // The rings go on filling while a boundary is waited for: warp 0 asks the counter, the others look at what
  // it says.
  uint32_t boundaries = 0;
  auto wait = [&](const uint32_t* c, uint32_t t) {
    ++boundaries;
    b.open = true;
    while (o.wait) {
      fill();
      if (b.warp == 0) {
        if (__any_sync(~0u, b.lane == 0 && static_cast<int32_t>(LoadAcquire(c) - t) >= 0)) {
          if (b.lane == 0) shared.passed = boundaries;
          break;
        }
      } else if (__any_sync(~0u, shared.passed == boundaries)) {
        break;
      }
    }
    __syncthreads();
    b.open = !o.quiet;
  };
  uint32_t clock_before = clock();
  const int64_t clock_begin = clock64();
  const uint64_t ns_begin = GlobalNanoseconds();
  auto mark = [&](int layer, int point) {
    if (m.trace == nullptr || threadIdx.x != 0) return;
    const uint32_t now = clock();
    m.trace[(layer * kTracePoints + point) * b.ncta + b.cta] = now - clock_before;
    clock_before = now;
  };
  b.SetCurrent(QkvStream(m, b, 0));
  for (int layer = 0; layer < m.layers; ++layer) {
    const QkvEarly qkv = BeforeQkv(m, b, layer);
    b.SetNext(OutStream(m, b, layer));
    fill();
    if (layer > 0) wait(counter, target);
    mark(layer, 0);
    Qkv(m, b, layer, qkv);
    mark(layer, 1);
    arrive(counter);
    target += all;
    b.Advance();
    fill();
    const OutEarly out = BeforeOut(m, b, layer);
    if (b.cta < kKvHeads) {
      const AttentionEarly attention = BeforeAttention(m, b, layer);
      wait(counter, target);
      Attention(m, b, partial, layer, attention);
      arrive(attention_counter);
    }
    attention_target += kKvHeads;
    wait(attention_counter, attention_target);
    mark(layer, 2);
    Out(m, b, layer, out);
    mark(layer, 3);
    arrive(counter);
    target += all;
    const RouterEarly router = BeforeGateUp(m, layer);
    if (o.prefetch && layer + 1 < m.layers) {
      // One sector of each 32 bytes of what this block reads first next; the values are not used.
      const Stream ahead = QkvStream(m, b, layer + 1);
      for (int i = threadIdx.x; i < 64 * 1024 / 32; i += kThreads) Touch(ahead.base + i * 32);
    }
    wait(counter, target);
    mark(layer, 4);
    Route(m, b, router);
    b.SetCurrent(GateUpStream(m, b, layer));
    b.SetNext(DownStream(m, b, layer));
    fill();
    mark(layer, 5);
    GateUp(m, b, layer);
    mark(layer, 6);
    arrive(counter);
    target += all;
    b.Advance();
    b.SetNext(layer + 1 < m.layers ? QkvStream(m, b, layer + 1) : HeadStream(m, b));
    fill();
    const DownEarly down = BeforeDown(m, b, layer);
    wait(counter, target);
    mark(layer, 7);
    Down(m, b, down);
    mark(layer, 8);
    arrive(counter);
    target += all;
    b.Advance();
  }
  const NormWeights norm = LoadNorm(m.final_norm);
  wait(counter, target);
  Head(m, b, norm);
  mark(m.layers - 1, 9);
  if (b.cta == 0 && threadIdx.x == 0) {
    m.span[0] = clock64() - clock_begin;
    m.span[1] = static_cast<int64_t>(GlobalNanoseconds() - ns_begin);
  }
}

enum class Phase { kQkv, kAttention, kOut, kGateUp, kDown, kHead };

template <Phase kPhase>
__global__ void __launch_bounds__(kThreads, 1)
    PhaseKernel(const __grid_constant__ Model m, int layer, Options o) {
  if (o.programmatic) LetNextKernelStart();
  Shared& shared = *reinterpret_cast<Shared*>(g_shared);
  constexpr bool kAttends = kPhase == Phase::kAttention;
  auto& partial = *reinterpret_cast<AttentionPartial*>(g_shared + sizeof(Shared));
  Block b(m, shared, g_shared + sizeof(Shared), kAttends ? 0 : o.slots, o.window);
  auto fill = [&] {
    if (o.ahead && o.programmatic) b.Fill();
  };
  auto wait = [&] {
    if (o.programmatic) WaitForKernelBefore();
  };
  if constexpr (kPhase == Phase::kQkv) {
    b.SetCurrent(QkvStream(m, b, layer));
    fill();
    const QkvEarly early = BeforeQkv(m, b, layer);
    wait();
    Qkv(m, b, layer, early);
  } else if constexpr (kAttends) {
    const AttentionEarly early = BeforeAttention(m, b, layer);
    wait();
    Attention(m, b, partial, layer, early);
  } else if constexpr (kPhase == Phase::kOut) {
    b.SetCurrent(OutStream(m, b, layer));
    fill();
    const OutEarly early = BeforeOut(m, b, layer);
    wait();
    Out(m, b, layer, early);
  } else if constexpr (kPhase == Phase::kGateUp) {
    const RouterEarly early = BeforeGateUp(m, layer);
    wait();
    Route(m, b, early);
    if (b.cta == 0 && threadIdx.x == 0) {
      for (int k = 0; k < kTopK; ++k) {
        m.routes[k] = shared.route_ids[k];
        m.routes[kTopK + k] = __float_as_uint(shared.route_weights[k]);
      }
      StoreRelease(m.routes_ready, m.state->step * m.layers + layer + 1);
    }
    b.SetCurrent(GateUpStream(m, b, layer));
    b.Fill();
    GateUp(m, b, layer);
  } else if constexpr (kPhase == Phase::kDown) {
    // The choice is known long before the kernel before has ended: its first block says so.
    if (!(o.ahead && o.programmatic)) wait();
    if (threadIdx.x == 0) {
      const uint32_t want = *const_cast<volatile uint32_t*>(&m.state->step) * m.layers + layer + 1;
      while (static_cast<int32_t>(LoadAcquire(m.routes_ready) - want) < 0) {
      }
      for (int k = 0; k < kTopK; ++k) {
        shared.route_ids[k] = const_cast<volatile uint32_t*>(m.routes)[k];
        shared.route_weights[k] = __uint_as_float(const_cast<volatile uint32_t*>(m.routes)[kTopK + k]);
      }
    }
    __syncthreads();
    b.SetCurrent(DownStream(m, b, layer));
    b.Fill();
    const DownEarly early = BeforeDown(m, b, layer);
    if (o.ahead && o.programmatic) wait();
    Down(m, b, early);
  } else {
    b.SetCurrent(HeadStream(m, b));
    fill();
    const NormWeights norm = LoadNorm(m.final_norm);
    wait();
    Head(m, b, norm);
  }
}

size_t RingBytes(int slots) { return WarpRing::Bytes(kWarps, slots, kSlot); }

void LaunchOneKernel(const Setup& setup, cudaStream_t s, const Model& m, const Options& o) {
  Launch(s,
         {setup.sms, kThreads, sizeof(Shared) + sizeof(AttentionPartial) + RingBytes(o.slots), false, true},
         StepKernel, m, o);
}

template <Phase kPhase>
void LaunchPhase(const Setup& setup, cudaStream_t s, const Model& m, int layer, const Options& o,
                 bool first = false) {
  const bool attends = kPhase == Phase::kAttention;
  Launch(
      s,
      {attends ? kKvHeads : setup.sms, kThreads,
       sizeof(Shared) + (attends ? sizeof(AttentionPartial) : RingBytes(o.slots)), o.programmatic && !first},
      PhaseKernel<kPhase>, m, layer, o);
}
void LaunchGraphBody(const Setup& setup, cudaStream_t s, const Model& m, const Options& o) {
  for (int layer = 0; layer < m.layers; ++layer) {
    LaunchPhase<Phase::kQkv>(setup, s, m, layer, o, layer == 0);
    LaunchPhase<Phase::kAttention>(setup, s, m, layer, o);
    LaunchPhase<Phase::kOut>(setup, s, m, layer, o);
    LaunchPhase<Phase::kGateUp>(setup, s, m, layer, o);
    LaunchPhase<Phase::kDown>(setup, s, m, layer, o);
  }
  LaunchPhase<Phase::kHead>(setup, s, m, 0, o);
}

// ---- weights ----------------------------------------------------------------------------------------------

__device__ uint32_t Hash(uint64_t i, uint32_t seed) {
  uint32_t h = static_cast<uint32_t>(i) * 0x9E3779B9u ^ static_cast<uint32_t>(i >> 32) * 0x85EBCA6Bu ^ seed;
  h = (h ^ h >> 16) * 0x7FEB352Du;
  h = (h ^ h >> 15) * 0x846CA68Bu;
  return h ^ h >> 16;
}
// Random bits under a mask, over fixed ones.
__global__ void FillMasked(uint32_t* data, size_t words, uint32_t seed, uint32_t mask, uint32_t fixed) {
  for (size_t i = blockIdx.x * size_t{blockDim.x} + threadIdx.x; i < words;
       i += size_t{gridDim.x} * blockDim.x)
    data[i] = (Hash(i, seed) & mask) | fixed;
}
__global__ void FillExperts(uint32_t* data, size_t words, uint32_t seed) {
  constexpr int kCodes = kExpertCols / 32 * 32;  // words of codes of a unit
  for (size_t i = blockIdx.x * size_t{blockDim.x} + threadIdx.x; i < words;
       i += size_t{gridDim.x} * blockDim.x)
    data[i] = i % (kExpertUnit / 4) < kCodes ? Hash(i, seed) : (Hash(i, seed) & 0x01010101u) | 0xF4F4F4F4u;
}
__global__ void FillFloats(float* data, size_t n, uint32_t seed, float middle, float spread) {
  for (size_t i = blockIdx.x * size_t{blockDim.x} + threadIdx.x; i < n; i += size_t{gridDim.x} * blockDim.x)
    data[i] = middle + spread * (static_cast<float>(Hash(i, seed)) * 0x1p-31f - 1.0f);
}

struct Memory {
  std::vector<std::unique_ptr<Buffer<uint8_t>>> parts;
  size_t bytes = 0;
  template <class T>
  T* Get(size_t count) {
    parts.push_back(std::make_unique<Buffer<uint8_t>>(count * sizeof(T)));
    CUDA_OK(cudaMemset(parts.back()->get(), 0, count * sizeof(T)));
    bytes += count * sizeof(T);
    return reinterpret_cast<T*>(parts.back()->get());
  }
};

Model MakeModel(const Setup& setup, Memory& memory, int layers, int experts) {
  Model m{};
  m.layers = layers;
  m.experts = experts;
  const LaunchShape shape{setup.sms * 8, 256};
  uint32_t seed = 1;
  // Values of 2^-6 to 2^-5 with random sign.
  auto bf16 = [&](size_t values) {
    auto* p = memory.Get<uint8_t>(values * 2);
    Launch(setup.stream, shape, FillMasked, reinterpret_cast<uint32_t*>(p), values / 2, seed++, 0x807F807Fu,
           0x3C803C80u);
    return p;
  };
  auto expert = [&](size_t units) {
    auto* p = memory.Get<uint8_t>(units * kExpertUnit);
    Launch(setup.stream, shape, FillExperts, reinterpret_cast<uint32_t*>(p), units * kExpertUnit / 4, seed++);
    return p;
  };
  auto floats = [&](size_t n, float middle, float spread) {
    auto* p = memory.Get<float>(n);
    Launch(setup.stream, shape, FillFloats, p, n, seed++, middle, spread);
    return p;
  };
  const size_t l = layers, e = experts;
  m.qkv = bf16(l * kQkvRows * kHidden);
  m.out = bf16(l * kHidden * kQuery);
  m.gate_up = expert(l * e * kGateUpGroups * kExpertChunks);
  m.down = expert(l * e * kOutGroups * kExpertChunks);
  m.norms = floats(l * 2 * kHidden, 1, 0.2f);
  m.biases = floats(l * (kQkvRows + kHidden), 0, 0.1f);
  m.gate_up_bias = floats(l * e * 2 * kHidden, 0, 0.1f);
  m.down_bias = floats(l * e * kHidden, 0, 0.1f);
  m.router = reinterpret_cast<const uint16_t*>(bf16(l * kHidden * e));
  m.router_bias = floats(l * e, 0, 0.1f);
  m.sinks = floats(l * kHeads, 0, 1);
  m.keys = reinterpret_cast<uint16_t*>(bf16(l * kKvHeads * kContext * kHeadSize));
  m.values = reinterpret_cast<uint16_t*>(bf16(l * kKvHeads * kContext * kHeadSize));
  m.head = bf16(size_t{kVocabulary} * kHidden);
  m.final_norm = floats(kHidden, 1, 0.2f);
  m.embedding = reinterpret_cast<const uint16_t*>(bf16(size_t{kVocabulary} * kHidden));
  std::vector<float2> rotation(kContext * 32);
  for (int p = 0; p < kContext; ++p)
    for (int i = 0; i < 32; ++i) {
      const double angle = p * std::pow(150000.0, -i / 32.0);
      rotation[p * 32 + i] = {static_cast<float>(std::cos(angle)), static_cast<float>(std::sin(angle))};
    }
  auto* rotation_device = memory.Get<float2>(rotation.size());
  CUDA_OK(
      cudaMemcpy(rotation_device, rotation.data(), rotation.size() * sizeof(float2), cudaMemcpyHostToDevice));
  m.rotation = rotation_device;
  m.query = memory.Get<float>(kQuery);
  m.copies = 1;
  m.attention = memory.Get<uint16_t>(kMaxCopies * kQuery);
  m.middle = memory.Get<float>(kMaxCopies * kHidden);
  m.residual = memory.Get<float>(kMaxCopies * kHidden);
  m.router_parts = memory.Get<float>(static_cast<size_t>(kMaxCopies) * kMaxBlocks * (experts + 4));
  m.activated = memory.Get<uint16_t>(kMaxCopies * kTopK * kHidden);
  m.routes = memory.Get<uint32_t>(8);
  m.routes_ready = memory.Get<uint32_t>(1);
  m.state = memory.Get<State>(1);
  m.barriers = memory.Get<uint32_t>(64);
  m.span = memory.Get<int64_t>(2);
  CUDA_OK(cudaStreamSynchronize(setup.stream));
  return m;
}

void Reset(const Model& m, uint32_t position) {
  const State state{0, position, 4711, 0, 0};
  CUDA_OK(cudaDeviceSynchronize());
  CUDA_OK(cudaMemcpy(m.state, &state, sizeof(state), cudaMemcpyHostToDevice));
  CUDA_OK(cudaMemset(m.barriers, 0, 64 * 4));
  CUDA_OK(cudaMemset(m.routes_ready, 0, 4));
  CUDA_OK(cudaDeviceSynchronize());
}

template <class T>
std::vector<T> Download(const T* p, size_t n) {
  std::vector<T> v(n);
  CUDA_OK(cudaMemcpy(v.data(), p, n * sizeof(T), cudaMemcpyDeviceToHost));
  return v;
}

// Bytes of weights a token reads, as published: MXFP4 at 17 bytes for 32 values.
double BytesOf(const Model& m) {
  const double layer =
      2.0 * (kQkvRows * double(kHidden) + kHidden * double(kQuery) + double(m.experts) * kHidden) +
      kTopK * 3.0 * kHidden * kHidden * 17 / 32;
  return m.layers * layer + 2.0 * kVocabulary * kHidden;
}

void CheckLayer(const Setup& setup, const Model& model) {
  Model m = model;
  m.layers = 1;
  const uint32_t position = 200;
  Options o;
  for (int kind = 0; kind < 2; ++kind) {
    Reset(m, position);
    if (kind == 0) {
      LaunchOneKernel(setup, setup.stream, m, o);
    } else {
      o.slots = 2;
      LaunchGraphBody(setup, setup.stream, m, o);
    }
    CUDA_OK(cudaStreamSynchronize(setup.stream));
    LayerInputs in;
    const size_t e = m.experts;
    in.qkv = Download(m.qkv, size_t{kQkvRows} * kHidden * 2);
    in.out = Download(m.out, size_t{kQuery} * kHidden * 2);
    in.norms = Download(m.norms, 2 * kHidden);
    in.biases = Download(m.biases, kQkvRows + kHidden);
    in.router = Download(m.router, e * kHidden);
    in.router_bias = Download(m.router_bias, e);
    in.sinks = Download(m.sinks, kHeads);
    in.keys = Download(m.keys, size_t{kKvHeads} * kContext * kHeadSize);
    in.values = Download(m.values, size_t{kKvHeads} * kContext * kHeadSize);
    in.embedding = Download(m.embedding + size_t{4711} * kHidden, kHidden);
    in.rotation = Download(reinterpret_cast<const float*>(m.rotation) + position * 64, 64);
    in.position = position;
    in.experts = m.experts;
    in.expert = [&](int id) {
      const size_t units = size_t{kGateUpGroups} * kExpertChunks,
                   down_units = size_t{kOutGroups} * kExpertChunks;
      return ExpertWeights{Download(m.gate_up + id * units * kExpertUnit, units * kExpertUnit),
                           Download(m.down + id * down_units * kExpertUnit, down_units * kExpertUnit),
                           Download(m.gate_up_bias + id * 2 * kHidden, 2 * kHidden),
                           Download(m.down_bias + id * kHidden, kHidden)};
    };
    const LayerOutputs want = ReferenceLayer(in);
    auto row = [&](const char* what, const std::vector<double>& truth, auto got) {
      double error = 0, size = 0;
      for (size_t i = 0; i < truth.size(); ++i) {
        const double d = got(i) - truth[i];
        error += d * d;
        size += truth[i] * truth[i];
      }
      error = std::sqrt(error / size);
      Row(Format("%s: %s", kind == 0 ? "one kernel" : "graph", what),
          Format("%.1e | %s", error, error < 2e-3 ? "right" : "WRONG"));
    };
    const auto query = Download(m.query, kQuery);
    row("query after rotation", want.query, [&](size_t i) { return query[i]; });
    const auto attention = Download(m.attention, kQuery);
    row("attention", want.attention, [&](size_t i) { return Bf16(attention[i]); });
    const auto middle = Download(m.middle, kHidden);
    row("residual after attention", want.middle, [&](size_t i) { return middle[i]; });
    const auto activated = Download(m.activated, kTopK * kHidden);
    row("activations of the experts", want.activated, [&](size_t i) { return Bf16(activated[i]); });
    const auto residual = Download(m.residual, kHidden);
    row("residual after the layer", want.residual, [&](size_t i) { return residual[i]; });
  }
}

struct Runner {
  const Setup& setup;
  const Model m;
  double bytes;
  std::vector<uint32_t> first_tokens;

  // us of a token, over `tokens` launches of a graph of one step in a row.
  void Measure(const std::string& name, bool check, const std::function<void(cudaStream_t)>& body) {
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    CUDA_OK(cudaStreamBeginCapture(setup.stream, cudaStreamCaptureModeGlobal));
    body(setup.stream);
    CUDA_OK(cudaStreamEndCapture(setup.stream, &graph));
    CUDA_OK(cudaGraphInstantiate(&exec, graph, 0));
    const int tokens = setup.quick ? 1 : 32;
    cudaEvent_t begin, end;
    CUDA_OK(cudaEventCreate(&begin));
    CUDA_OK(cudaEventCreate(&end));
    std::vector<double> us;
    std::string verdict = "";
    for (int lap = 0; lap < (setup.quick ? 1 : 6); ++lap) {
      Reset(m, 128);
      CUDA_OK(cudaEventRecord(begin, setup.stream));
      for (int i = 0; i < tokens; ++i) CUDA_OK(cudaGraphLaunch(exec, setup.stream));
      CUDA_OK(cudaEventRecord(end, setup.stream));
      CUDA_OK(cudaEventSynchronize(end));
      float ms = 0;
      CUDA_OK(cudaEventElapsedTime(&ms, begin, end));
      if (lap > 0 || setup.quick) us.push_back(ms * 1e3 / tokens);
    }
    if (check) {  // the tokens, one by one
      Reset(m, 128);
      std::vector<uint32_t> got;
      for (int i = 0; i < (setup.quick ? 1 : 8); ++i) {
        CUDA_OK(cudaGraphLaunch(exec, setup.stream));
        CUDA_OK(cudaStreamSynchronize(setup.stream));
        got.push_back(Download(m.state, 1)[0].token);
      }
      if (first_tokens.empty()) {
        first_tokens = got;
        verdict = Format("tokens %u %u %u ..", got[0], got[got.size() / 4], got[got.size() / 2]);
      } else {
        verdict = got == first_tokens ? "same tokens" : "OTHER TOKENS";
      }
    }
    const Times t = Summary(us);
    Row(name,
        Format("%.1f | %.1f..%.1f | %.0f | %.2f | %.0f %% | %s", t.median, t.low, t.high, 1e6 / t.median,
               bytes / t.median * 1e-6, 100 * bytes / t.median * 1e-6 / setup.tb_per_s, verdict.c_str()));
    CUDA_OK(cudaEventDestroy(begin));
    CUDA_OK(cudaEventDestroy(end));
    CUDA_OK(cudaGraphExecDestroy(exec));
    CUDA_OK(cudaGraphDestroy(graph));
  }
};

void Trace(const Setup& setup, Model m) {
  const size_t n = static_cast<size_t>(m.layers) * kTracePoints * setup.sms;
  Buffer<uint32_t> trace(n);
  trace.Zero();
  m.trace = trace.get();
  Reset(m, 128);
  for (int i = 0; i < 4; ++i) LaunchOneKernel(setup, setup.stream, m, Options{});
  CUDA_OK(cudaStreamSynchronize(setup.stream));
  const auto clocks = trace.Host();
  const auto span = Download(m.span, 2);
  const double mhz = 1e3 * span[0] / span[1];
  Row("SM clock during a token", Format("%.0f MHz | | ", mhz));
  static const char* const kNames[] = {"wait for the layer before",
                                       "QKV",
                                       "attention and wait for it",
                                       "O",
                                       "wait for O",
                                       "router",
                                       "gate_up",
                                       "wait for gate_up",
                                       "down",
                                       "head (of the last layer)"};
  for (int point = 0; point < 10; ++point) {
    std::vector<double> us;
    double sum = 0;
    for (int layer = point < 9 ? 1 : m.layers - 1; layer < m.layers; ++layer)
      for (int block = 0; block < setup.sms; ++block) {
        us.push_back(clocks[(static_cast<size_t>(layer) * kTracePoints + point) * setup.sms + block] / mhz);
        sum += us.back();
      }
    const Times t = Summary(us);
    Row(kNames[point], Format("%.2f | %.2f..%.2f | %.2f", t.median, t.low, t.high, sum / us.size()));
  }
}

}  // namespace

void MeasureStep(const Setup& setup) {
  struct Size {
    const char* name;
    int layers, experts;
  };
  for (const Size& size : {Size{"20b", 24, 32}, Size{"120b", 36, 128}}) {
    Memory memory;
    const int layers = setup.quick ? 2 : size.layers;
    const Model m = MakeModel(setup, memory, layers, size.experts);
    const double bytes = BytesOf(m);
    Section(Format("f. one layer of the %s shape against double on the host", size.name).c_str(),
            "relative error (2-norm) | verdict");
    CheckLayer(setup, m);
    Section(Format("f. a token of the %s shape, batch 1, position 128 on: %.3f GB", size.name, bytes * 1e-9)
                .c_str(),
            "us | range | tokens/s | TB/s | share | tokens");
    Runner runner{setup, m, bytes, {}};
    Options one;
    auto one_kernel = [&](const std::string& name, bool check = true) {
      runner.Measure(name, check, [&](cudaStream_t s) { LaunchOneKernel(setup, s, m, one); });
    };
    one_kernel("one kernel, ring 2 slots a warp, at most 2 under way");
    if (setup.quick) {
      Options graph;
      runner.Measure("graph, programmatic", true,
                     [&](cudaStream_t s) { LaunchGraphBody(setup, s, m, graph); });
      return;
    }
    Model copied = m;
    copied.copies = 8;
    runner.Measure("one kernel, 2, 2: 8 copies of the activations", true,
                   [&](cudaStream_t s) { LaunchOneKernel(setup, s, copied, one); });
    for (const auto& [slots, window] : {std::pair{2, 1}, {3, 1}, {3, 2}, {3, 3}, {4, 1}, {4, 2}, {4, 4}}) {
      one.slots = slots;
      one.window = window;
      one_kernel(Format("one kernel, ring %d slots a warp, at most %d under way", slots, window));
    }
    one = Options{};
    one.ahead = false;
    one_kernel("one kernel, 2, 2: loads after the boundary");
    for (const auto& [slots, window] : {std::pair{2, 1}, {2, 2}, {3, 2}, {4, 1}, {4, 2}, {4, 4}}) {
      one.slots = slots;
      one.window = window;
      one.quiet = true;
      one_kernel(
          Format("one kernel, ring %d slots, %d under way, running on after the arrival", slots, window));
    }
    one = Options{};
    one.prefetch = true;
    one_kernel("one kernel, 2, 2: next QKV loaded into L2 while the router is waited for");
    one = Options{};
    one.wait = false;
    one_kernel("one kernel, 2, 2: no boundaries (values wrong): streams and arithmetic alone", false);
    Options graph;
    graph.slots = graph.window = 4;
    graph.programmatic = false;
    auto kernels = [&](const char* name) {
      runner.Measure(name, true, [&](cudaStream_t s) { LaunchGraphBody(setup, s, m, graph); });
    };
    kernels("graph of kernels, ring 4 slots a warp");
    graph.programmatic = true;
    graph.ahead = false;
    graph.slots = 2;
    kernels("graph, programmatic, ring 2 slots a warp, loads after the wait");
    graph.ahead = true;
    kernels("graph, programmatic, ring 2 slots a warp, loads before the wait");
    Section(Format("f. where one kernel's time goes, %s: us a layer and block", size.name).c_str(),
            "median | range | mean");
    Trace(setup, m);
  }
}

}  // namespace limits
