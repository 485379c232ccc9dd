// Section c: the inner loops of decode at full rate: weights in bf16, MXFP4, Q8_0 and 12 bits through the
// ring, as operand A of mma.sync with 1 to 8 tokens; against the read ceiling, and against the same loop over
// weights that stay in shared memory. Each form's values are compared with a computation in double on the
// host, with an error planted that must be found; MXFP4's decoding for all codes and scale bytes.
#include <cmath>

#include "device/formats.cuh"
#include "device/ring.cuh"
#include "host.h"

namespace limits {
namespace {

constexpr int kDepth = 2880;
constexpr int kTokenStride = kDepth * 2 + 64;

struct LoopWork {
  const uint8_t* weights;
  uint32_t units;
  const uint8_t* x;  // bf16 [tokens, kDepth]
  int tokens;
  int num_slots;
  int rounds;     // arithmetic only: passes over the slots
  uint32_t base;  // of the packed form
  float* out;     // [units, 8 rows, 8 tokens], or null
  float* sink;
};

// kFixed: all units of a warp cover the same columns, x stays in registers (split form).
template <class Form, int kCols, bool kFull, bool kLoad, bool kFixed>
__global__ void __launch_bounds__(512) LoopKernel(const __grid_constant__ LoopWork work) {
  extern __shared__ __align__(128) uint8_t shared[];
  constexpr int kSteps = kCols / 32, kBytes = Form::Bytes(kSteps), kChunks = kDepth / kCols;
  static_assert(kDepth % kCols == 0 && kSteps % 2 == 0 && kBytes % 16 == 0);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  WarpRing ring;
  ring.Start(shared, warps, warp, lane, work.num_slots, kBytes);
  uint8_t* x = shared + (WarpRing::Bytes(warps, work.num_slots, kBytes) + 127) / 128 * 128;
  for (int i = threadIdx.x; i < work.tokens * (kDepth / 8); i += blockDim.x)
    *reinterpret_cast<uint4*>(x + i / (kDepth / 8) * kTokenStride + i % (kDepth / 8) * 16) =
        reinterpret_cast<const uint4*>(work.x)[i];
  __syncthreads();
  const uint32_t first = blockIdx.x * warps + warp, step = gridDim.x * warps;
  const SharedTokens<kFull> tokens(x, kTokenStride, work.tokens, kCols, lane);
  using Kept = std::conditional_t<kFixed, RegisterTokens<kSteps>, int>;
  Kept kept = [&] {
    if constexpr (kFixed) {
      SharedTokens<kFull> at = tokens;
      at.at += first % kChunks * kCols * 2;
      return RegisterTokens<kSteps>(at);
    } else {
      return 0;
    }
  }();
  uint32_t next = first;
  while (ring.CanIssue() && next < work.units) {
    ring.Issue(lane, work.weights + size_t{next} * kBytes, kBytes);
    next += step;
  }
  float2 total{0, 0};
  auto use = [&](const uint8_t* slot, uint32_t unit) {
    Sums<kFull> sums;
    sums.Clear();
    if constexpr (kFixed) {
      Form::template Dot<kSteps>(slot, lane, kept, work.base, sums);
    } else {
      SharedTokens<kFull> at = tokens;
      at.at += unit % kChunks * kCols * 2;
      Form::template Dot<kSteps>(slot, lane, at, work.base, sums);
    }
    const float2 row = sums.Row();
    if (work.out != nullptr && (kFull || lane % 4 < 2))
      *reinterpret_cast<float2*>(work.out + size_t{unit} * 64 + lane / 4 * 8 + lane % 4 * 2) = row;
    total.x += row.x;
    total.y += row.y;
  };
  if constexpr (kLoad) {
    for (uint32_t unit = first; unit < work.units; unit += step) {
      use(ring.Wait(), unit);
      ring.Release();
      if (next < work.units) {
        ring.Issue(lane, work.weights + size_t{next} * kBytes, kBytes);
        next += step;
      }
    }
  } else {
    for (int s = 0; s < work.num_slots; ++s) {
      ring.Wait();
      ring.Release();
    }
    for (int r = 0; r < work.rounds; ++r)
      for (int s = 0; s < work.num_slots; ++s) use(ring.slots + s * kBytes, r + s + warp);
  }
  if (total.x + total.y == 12345.678f) *work.sink = total.x;
}

// All of a unit's decoded values as bf16 bits, in the order of PlaceOf.
template <int kSteps>
__global__ void DecodeMxfp4(const uint8_t* unit, uint32_t* out) {
  const int lane = threadIdx.x;
  for (int step = 0; step < kSteps; ++step) {
    const uint32_t w = *reinterpret_cast<const uint32_t*>(unit + WordAt(step, lane, kSteps));
    const uint8_t* scales = unit + kSteps * 128 + lane / 4 * Mxfp4Form::ScaleBytes(kSteps) + step / 2 * 2;
    Mxfp4Form::Decode(w, uint32_t{scales[0]} * 0x800080u, uint32_t{scales[1]} * 0x800080u,
                      out + (step * 32 + lane) * 4);
  }
}

// Random bits become sane values.
template <class Form>
__global__ void MakeSane(uint8_t* data, uint32_t units, int unit_bytes, int steps) {
  for (uint32_t u = blockIdx.x; u < units; u += gridDim.x) {
    auto* words = reinterpret_cast<uint32_t*>(data + size_t{u} * unit_bytes);
    for (int i = threadIdx.x; i < unit_bytes / 4; i += blockDim.x) {
      const uint32_t w = words[i];
      if constexpr (std::is_same_v<Form, Bf16Form>) words[i] = (w & 0x80FF80FFu) | 0x3C003C00u;
      if constexpr (std::is_same_v<Form, Mxfp4Form>)
        if (i >= steps * 32) words[i] = (w & 0x01010101u) | 0xF4F4F4F4u;
      if constexpr (std::is_same_v<Form, Q8Form>)
        if (i >= steps * 64 && i < steps * 68) words[i] = (w & 0x03FF03FFu) | 0x18001800u;
    }
  }
}

uint32_t g_state = 12345;
uint32_t Random() {
  g_state = g_state * 1664525u + 1013904223u;
  return g_state >> 8;
}
float BitsToFloat(uint16_t bits) {
  const uint32_t word = uint32_t{bits} << 16;
  float v;
  std::memcpy(&v, &word, 4);
  return v;
}
uint16_t FloatToBits(float v) {  // exact values only
  uint32_t word;
  std::memcpy(&word, &v, 4);
  return static_cast<uint16_t>(word >> 16);
}
constexpr float kCodes[16] = {0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6};

// Random values of a unit, packed; the truth in doubles [8, cols].
template <class Form>
void RandomUnit(uint8_t* unit, int cols, std::vector<double>& truth) {
  truth.assign(8 * cols, 0);
  for (int r = 0; r < 8; ++r) {
    double scale = 1;
    for (int c = 0; c < cols; ++c) {
      double& v = truth[r * cols + c];
      if constexpr (std::is_same_v<Form, Bf16Form>) {
        const auto bits = static_cast<uint16_t>((Random() & 0x81FF) | 0x3C00);
        Form::Set(unit, cols, r, c, bits);
        v = BitsToFloat(bits);
      } else if constexpr (std::is_same_v<Form, Mxfp4Form>) {
        if (c % 32 == 0) {
          const int s = 112 + Random() % 17;
          Form::SetScale(unit, cols, r, c, static_cast<uint8_t>(s));
          scale = std::ldexp(1.0, s - 127);
        }
        const int code = Random() % 16;
        Form::Set(unit, cols, r, c, code);
        v = kCodes[code] * scale;
      } else if constexpr (std::is_same_v<Form, Q8Form>) {
        if (c % 32 == 0) {
          const auto bits = static_cast<uint16_t>((Random() & 0x83FF) | 0x1C00 | (Random() & 3) << 10);
          Form::SetScale(unit, cols, r, c, bits);
          scale = __half2float(__half(__half_raw{bits}));
        }
        const int q = static_cast<int>(Random() % 256) - 128;
        Form::Set(unit, cols, r, c, static_cast<int8_t>(q));
        v = q * scale;
      } else {
        const auto bits = static_cast<uint16_t>((Random() & 0x80FF) | (0x39 + Random() % 8) << 8);
        Form::Set(unit, cols, r, c, bits, 0x39);
        v = BitsToFloat(bits);
      }
    }
  }
}

template <class Form, int kCols, bool kFull, bool kLoad, bool kFixed = false>
void LaunchLoop(const Setup& setup, cudaStream_t s, LoopWork work, int blocks_per_sm, int warps) {
  const size_t shared = (WarpRing::Bytes(warps, work.num_slots, Form::Bytes(kCols / 32)) + 127) / 128 * 128 +
                        static_cast<size_t>(work.tokens) * kTokenStride;
  Launch(s, {blocks_per_sm * setup.sms, warps * 32, shared}, LoopKernel<Form, kCols, kFull, kLoad, kFixed>,
         work);
}

template <class Form, int kCols>
void CheckValues(const Setup& setup) {
  constexpr int kBytes = Form::Bytes(kCols / 32), kChunks = kDepth / kCols, kMost = 40 * kChunks;
  const int kUnits = setup.quick ? 6 * kChunks : kMost;  // a planted bit lies in unit 17
  std::vector<uint8_t> packed(static_cast<size_t>(kUnits) * kBytes);
  std::vector<std::vector<double>> truth(static_cast<size_t>(kUnits));
  for (int u = 0; u < kUnits; ++u)
    RandomUnit<Form>(packed.data() + static_cast<size_t>(u) * kBytes, kCols, truth[u]);
  std::vector<uint16_t> x(8 * kDepth);
  for (auto& v : x) v = static_cast<uint16_t>((Random() & 0x81FF) | 0x3E00);
  Buffer<uint16_t> x_device(x);
  Buffer<float> out(static_cast<size_t>(kUnits) * 64), sink(1);
  for (int planted = 0; planted < 2; ++planted) {
    std::vector<uint8_t> bytes = packed;
    if (planted) bytes[size_t{17} * kBytes + 40] ^= 0xFF;
    Buffer<uint8_t> weights(bytes);
    for (int tokens : {1, 3, 4, 5, 8}) {
      CUDA_OK(cudaMemset(out.get(), 0xFF, out.size() * 4));
      LoopWork work{weights.get(),
                    static_cast<uint32_t>(kUnits),
                    reinterpret_cast<const uint8_t*>(x_device.get()),
                    tokens,
                    2,
                    0,
                    0x39393939u,
                    out.get(),
                    sink.get()};
      constexpr bool kCanFix = 12 * 132 % kChunks == 0;
      if (tokens == 3 && kCanFix && setup.sms == 132)
        LaunchLoop<Form, kCols, false, true, kCanFix>(setup, setup.stream, work, 1, 12);
      else if (tokens <= 4)
        LaunchLoop<Form, kCols, false, true>(setup, setup.stream, work, 1, 8);
      else
        LaunchLoop<Form, kCols, true, true>(setup, setup.stream, work, 1, 8);
      CUDA_OK(cudaStreamSynchronize(setup.stream));
      const std::vector<float> got = out.Host();
      int wrong = 0;
      double worst = 0;
      for (int u = 0; u < kUnits; ++u)
        for (int r = 0; r < 8; ++r)
          for (int n = 0; n < tokens; ++n) {
            double sum = 0, size = 0;
            for (int c = 0; c < kCols; ++c) {
              const double p = truth[u][r * kCols + c] * BitsToFloat(x[n * kDepth + u % kChunks * kCols + c]);
              sum += p;
              size += std::fabs(p);
            }
            const double error = std::fabs(got[(u * 8 + r) * 8 + n] - sum) / size;
            if (!(error < 1e-6)) ++wrong;
            if (!planted && error > worst) worst = error;
          }
      const bool as_it_should = planted ? wrong > 0 : wrong == 0;
      if (!planted || tokens == 1 || tokens == 8)
        Row(Format("%s, units of %d columns, %d tokens%s", Form::kName, kCols, tokens,
                   planted ? ", one bit planted" : ""),
            Format("%d of %d sums off | %.1e | %s", wrong, kUnits * 8 * tokens, worst,
                   as_it_should ? planted ? "found" : "right" : "WRONG"));
    }
  }
}

void CheckMxfp4Decoding(const Setup& setup) {
  constexpr int kCols = 320, kSteps = kCols / 32;
  Buffer<uint32_t> out(kSteps * 128);
  int wrong = 0, all = 0;
  for (int scale = 0; scale <= 128; ++scale) {
    std::vector<uint8_t> unit(Mxfp4Form::Bytes(kSteps));
    std::vector<int> codes(8 * kCols);
    for (int r = 0; r < 8; ++r)
      for (int c = 0; c < kCols; ++c) {
        codes[r * kCols + c] = static_cast<int>(Random() % 16);
        Mxfp4Form::Set(unit.data(), kCols, r, c, codes[r * kCols + c]);
        Mxfp4Form::SetScale(unit.data(), kCols, r, c, static_cast<uint8_t>(scale));
      }
    Buffer<uint8_t> device(unit);
    Launch(setup.stream, {1, 32}, DecodeMxfp4<kSteps>, device.get(), out.get());
    CUDA_OK(cudaStreamSynchronize(setup.stream));
    const auto got = out.Host();
    for (int r = 0; r < 8; ++r)
      for (int c = 0; c < kCols; ++c) {
        const Place p = PlaceOf(r, c, kCols);
        const uint32_t word = got[(p.step * 32 + p.lane) * 4 + p.reg];
        const uint16_t want =
            FloatToBits(static_cast<float>(std::ldexp(kCodes[codes[r * kCols + c]], scale - 127)));
        wrong += static_cast<uint16_t>(word >> 16 * p.half) != want;
        ++all;
      }
  }
  Row("MXFP4 decoding, all codes, scale bytes 0 to 128, bits",
      Format("%d of %d off | | %s", wrong, all, wrong ? "WRONG" : "right"));
}

template <class Form, int kCols>
void Rates(const Setup& setup, uint8_t* data, size_t room) {
  constexpr int kSteps = kCols / 32, kBytes = Form::Bytes(kSteps), kPayload = Form::Payload(kSteps);
  const auto units = static_cast<uint32_t>(room / kBytes);
  FillRandom(setup, data, room / 4 * 4, 3);
  Launch(setup.stream, {setup.sms * 8, 256}, MakeSane<Form>, data, units, kBytes, kSteps);
  std::vector<uint16_t> x(8 * kDepth);
  for (auto& v : x) v = static_cast<uint16_t>((Random() & 0x81FF) | 0x3E00);
  Buffer<uint16_t> x_device(x);
  Buffer<float> sink(1);
  struct Case {
    int blocks, warps, kb;  // kb: of ring a SM
    bool fixed;
  };
  // x in registers needs every warp to meet one chunk only: the warps of the grid are a multiple of the
  // chunks.
  constexpr int kChunks = kDepth / kCols;
  for (const Case c : {Case{1, 8, 200, false},
                       {1, 12, 200, false},
                       {1, 12, 200, true},
                       {1, 16, 200, false},
                       {2, 8, 200, false},
                       {2, 6, 200, true},
                       {1, 12, 104, true}})
    for (int tokens : {1, 4, 8}) {
      if (setup.quick && (c.warps != 12 || tokens == 4)) continue;
      if (tokens == 4 && !c.fixed && c.warps != 8) continue;
      constexpr bool kCanFix = 132 * 12 % kChunks == 0;
      if (c.fixed && (!kCanFix || setup.sms != 132 || tokens > 4)) continue;
      const int room_kb = std::min(c.kb, c.blocks == 1 ? 225 - tokens * 6 : 220 - 12 * tokens);
      LoopWork work{data,        units,   reinterpret_cast<const uint8_t*>(x_device.get()),
                    tokens,      0,       0,
                    0x3C3C3C3Cu, nullptr, sink.get()};
      work.num_slots = room_kb * 1024 / c.blocks / c.warps / (kBytes + 8);
      if (work.num_slots < 2) continue;
      auto launch = [&](auto load, cudaStream_t s) {
        constexpr bool kLoad = decltype(load)::value;
        if (c.fixed)
          LaunchLoop<Form, kCols, false, kLoad, kCanFix>(setup, s, work, c.blocks, c.warps);
        else if (tokens <= 4)
          LaunchLoop<Form, kCols, false, kLoad>(setup, s, work, c.blocks, c.warps);
        else
          LaunchLoop<Form, kCols, true, kLoad>(setup, s, work, c.blocks, c.warps);
      };
      const Times t = TimeGraph(setup, 1, [&](cudaStream_t s) { launch(std::true_type{}, s); });
      // Without loads: the difference of two numbers of rounds, so that filling the slots once does not
      // count.
      work.rounds = 20;
      const Times few = TimeGraph(setup, 1, [&](cudaStream_t s) { launch(std::false_type{}, s); });
      work.rounds = setup.quick ? 21 : 120;
      const Times many = TimeGraph(setup, 1, [&](cudaStream_t s) { launch(std::false_type{}, s); });
      const double bytes = static_cast<double>(units) * kPayload;
      const double rounds =
          static_cast<double>(work.rounds - 20) * work.num_slots * c.warps * c.blocks * setup.sms;
      const double alone = rounds * kPayload / (many.median - few.median) * 1e-6;
      Row(Format("%s, units of %d x 8 (%d B), %d x %d warps x %d slots, %d tokens%s", Form::kName, kCols,
                 kPayload, c.blocks, c.warps, work.num_slots, tokens, c.fixed ? ", x in registers" : ""),
          Format("%.1f..%.1f | %.2f | %.0f %% | %.2f | %.0f %%", t.low, t.high, bytes / t.median * 1e-6,
                 100 * bytes / t.median * 1e-6 / setup.tb_per_s, alone, 100 * alone / setup.tb_per_s));
    }
}

}  // namespace

void MeasureLoops(const Setup& setup) {
  Section("c. values of the loops against double on the host", "sums | worst error / sum of sizes | verdict");
  CheckMxfp4Decoding(setup);
  CheckValues<Bf16Form, 320>(setup);
  CheckValues<Bf16Form, 192>(setup);
  CheckValues<Mxfp4Form, 320>(setup);
  CheckValues<Mxfp4Form, 576>(setup);
  CheckValues<Mxfp4Form, 960>(setup);
  CheckValues<Q8Form, 320>(setup);
  CheckValues<Q8Form, 576>(setup);
  CheckValues<Q8Form, 960>(setup);
  CheckValues<TwelveBitForm, 320>(setup);
  const size_t room = setup.quick ? size_t{8} << 20 : size_t{3} << 30;
  Buffer<uint8_t> data(room);
  Section("c. loops at full rate, 3 GB of weights, padding not counted",
          "us | TB/s | share | arithmetic alone TB/s | share");
  Rates<Bf16Form, 320>(setup, data.get(), room);
  Rates<Bf16Form, 192>(setup, data.get(), room);
  Rates<Mxfp4Form, 960>(setup, data.get(), room);
  Rates<Mxfp4Form, 576>(setup, data.get(), room);
  Rates<Mxfp4Form, 320>(setup, data.get(), room);
  Rates<Q8Form, 960>(setup, data.get(), room);
  Rates<Q8Form, 576>(setup, data.get(), room);
  Rates<Q8Form, 320>(setup, data.get(), room);
  Rates<TwelveBitForm, 320>(setup, data.get(), room);
}

}  // namespace limits
