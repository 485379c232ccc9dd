// Section d: the bits of mma.sync m16n8k16 against those of wgmma m64nNk16, bf16 with f32 accumulators, for
// one step and for four steps chained through the accumulator, on inputs that show how the sum is cut: wide
// exponents, cancellations, values near the smallest. And against the model of mma_model.h, whose rules are
// searched.
#include <cmath>

#include "device/formats.cuh"
#include "device/ptx.cuh"
#include "device/wgmma.cuh"
#include "host.h"
#include "mma_model.h"

namespace limits {
namespace {

constexpr int kChain = 4;

// a [trials, kChain, 64, 16], b [trials, kChain, kN, 16], c [trials, 64, kN]. out [trials, 64, kN] of
// mma.sync.
template <int kN>
__global__ void __launch_bounds__(128)
    CompareKernel(const uint16_t* a, const uint16_t* b, const float* c, int trials, int steps, int swapped,
                  unsigned long long* differ, float* out) {
  __shared__ __align__(128) uint8_t tile[kN * 32];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4;
  for (int trial = blockIdx.x; trial < trials; trial += gridDim.x) {
    float wide[kN / 2], narrow[kN / 2];
#pragma unroll
    for (int i = 0; i < kN / 2; ++i) {
      const int row = warp * 16 + g + i / 2 % 2 * 8, col = i / 4 * 8 + t * 2 + i % 2;
      wide[i] = narrow[i] = c[(size_t{static_cast<unsigned>(trial)} * 64 + row) * kN + col];
    }
    for (int step = 0; step < steps; ++step) {
      const uint16_t* at = a + (static_cast<size_t>(trial) * kChain + step) * 1024 + warp * 256;
      const uint16_t* bt = b + (static_cast<size_t>(trial) * kChain + step) * kN * 16;
      uint32_t regs[4];
      for (int r = 0; r < 4; ++r)
        regs[r] = *reinterpret_cast<const uint32_t*>(at + (g + r % 2 * 8) * 16 + r / 2 * 8 + t * 2);
      __syncthreads();
      for (int i = threadIdx.x; i < kN * 16; i += 128) {
        const int n = i / 16, k = i % 16;
        *reinterpret_cast<uint16_t*>(tile + n / 8 * 256 + k / 8 * 128 + n % 8 * 16 + k % 8 * 2) = bt[i];
      }
      asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
      __syncthreads();
      WgmmaBegin();
      Wgmma<kN>(wide, regs, DescriptorOf(SharedAddress(tile), swapped ? 256 : 128, swapped ? 128 : 256));
      WgmmaEnd();
#pragma unroll
      for (int j = 0; j < kN / 8; ++j) {
        const uint16_t* column = bt + (j * 8 + g) * 16 + t * 2;
        Mma(narrow + j * 4, regs, *reinterpret_cast<const uint32_t*>(column),
            *reinterpret_cast<const uint32_t*>(column + 8));
      }
    }
    unsigned mine = 0;
#pragma unroll
    for (int i = 0; i < kN / 2; ++i) {
      const int row = warp * 16 + g + i / 2 % 2 * 8, col = i / 4 * 8 + t * 2 + i % 2;
      mine += __float_as_uint(wide[i]) != __float_as_uint(narrow[i]);
      if (out != nullptr) out[(size_t{static_cast<unsigned>(trial)} * 64 + row) * kN + col] = narrow[i];
    }
    if (mine) atomicAdd(differ, static_cast<unsigned long long>(mine));
  }
}

uint64_t g_state = 88172645463325252ull;
uint32_t Random() {
  g_state ^= g_state << 13;
  g_state ^= g_state >> 7;
  g_state ^= g_state << 17;
  return static_cast<uint32_t>(g_state >> 32);
}
uint16_t RandomBf16(int low, int high) {  // exponents low..high
  return static_cast<uint16_t>((Random() & 0x8000) | (127 + low + Random() % (high - low + 1)) << 7 |
                               (Random() & 0x7F));
}
float RandomFloat(int low, int high) {
  const uint32_t bits =
      (Random() & 0x80000000u) | (127 + low + Random() % (high - low + 1)) << 23 | (Random() & 0x7FFFFF);
  float v;
  std::memcpy(&v, &bits, 4);
  return v;
}

struct Inputs {
  const char* name;
  std::vector<uint16_t> a, b;
  std::vector<float> c;
};

Inputs MakeInputs(int kind, int trials, int n) {
  static const char* const kNames[] = {"small integers (exact)", "exponents -3..3", "exponents -20..20",
                                       "cancelling pairs", "near the smallest"};
  Inputs in{kNames[kind], std::vector<uint16_t>(size_t(trials) * kChain * 1024),
            std::vector<uint16_t>(size_t(trials) * kChain * n * 16),
            std::vector<float>(size_t(trials) * 64 * n)};
  auto fill = [&](std::vector<uint16_t>& v) {
    for (size_t i = 0; i < v.size(); ++i) {
      if (kind == 0) {
        const float f = static_cast<float>(static_cast<int>(Random() % 9) - 4);
        uint32_t bits;
        std::memcpy(&bits, &f, 4);
        v[i] = static_cast<uint16_t>(bits >> 16);
      } else if (kind == 1) {
        v[i] = RandomBf16(-3, 3);
      } else if (kind == 2) {
        v[i] = RandomBf16(-20, 20);
      } else if (kind == 3) {
        v[i] = RandomBf16(-6, 6);
      } else {
        v[i] = RandomBf16(-73, -60);
      }
    }
  };
  fill(in.a);
  fill(in.b);
  if (kind == 3) {  // value k + 1 nearly minus value k, in both factors' product
    for (size_t i = 0; i + 1 < in.a.size(); i += 2)
      if (Random() % 4) in.a[i + 1] = static_cast<uint16_t>(in.a[i] ^ 0x8000 ^ (Random() % 8 == 0));
    for (size_t i = 0; i + 1 < in.b.size(); i += 2)
      if (Random() % 4) in.b[i + 1] = static_cast<uint16_t>(in.b[i] ^ (Random() % 8 == 0));
  }
  for (float& v : in.c)
    v = kind == 0   ? static_cast<float>(static_cast<int>(Random() % 100))
        : kind == 1 ? RandomFloat(-6, 6)
        : kind == 2 ? RandomFloat(-40, 40)
        : kind == 3 ? RandomFloat(-16, 8)
                    : RandomFloat(-126, -118);
  return in;
}

template <int kN>
unsigned long long Compare(const Setup& setup, const Inputs& in, int trials, int steps, int swapped,
                           std::vector<float>* out) {
  Buffer<uint16_t> a(in.a), b(in.b);
  Buffer<float> c(in.c), d(out ? in.c.size() : 1);
  Buffer<unsigned long long> differ(1);
  differ.Zero();
  Launch(setup.stream, {std::min(trials, 4 * setup.sms), 128}, CompareKernel<kN>,
         static_cast<const uint16_t*>(a.get()), static_cast<const uint16_t*>(b.get()),
         static_cast<const float*>(c.get()), trials, steps, swapped, differ.get(), out ? d.get() : nullptr);
  CUDA_OK(cudaStreamSynchronize(setup.stream));
  if (out) *out = d.Host();
  return differ.Host()[0];
}

template <int kN>
void CompareAll(const Setup& setup, int swapped) {
  const int trials = setup.quick ? 4 : std::max(64, 4096 / kN * 4);
  for (int kind = 0; kind < 5; ++kind) {
    const Inputs in = MakeInputs(kind, trials, kN);
    const auto one = Compare<kN>(setup, in, trials, 1, swapped, nullptr);
    const auto chain = Compare<kN>(setup, in, trials, kChain, swapped, nullptr);
    Row(Format("mma.sync n8 against wgmma n%d, %s", kN, in.name),
        Format("%llu of %d | %llu of %d", one, trials * 64 * kN, chain, trials * 64 * kN));
  }
}

void SearchModel(const Setup& setup) {
  const int trials = setup.quick ? 2 : 40;
  for (int steps : {1, kChain})
    for (int kind = 1; kind < 5; ++kind) {
      const Inputs in = MakeInputs(kind, trials, 8);
      std::vector<float> got;
      Compare<8>(setup, in, trials, steps, 0, &got);
      struct Found {
        AddRules rules;
        int wrong;
      };
      std::vector<Found> found;
      for (int group : {4, 8, 16})
        for (int bits = 22; bits <= 28; ++bits)
          for (int mode = 0; mode < 4; ++mode) {
            const AddRules rules{group, bits, (mode & 1) != 0, (mode & 2) != 0};
            int wrong = 0;
            for (int trial = 0; trial < trials; ++trial)
              for (int row = 0; row < 64; ++row)
                for (int n = 0; n < 8; ++n) {
                  float sum = in.c[(trial * 64 + row) * 8 + n];
                  for (int s = 0; s < steps; ++s)
                    sum = ModelStep(&in.a[((trial * kChain + s) * 64 + row) * 16],
                                    &in.b[((trial * kChain + s) * 8 + n) * 16], sum, rules);
                  wrong += std::memcmp(&sum, &got[(trial * 64 + row) * 8 + n], 4) != 0;
                }
            found.push_back({rules, wrong});
          }
      std::stable_sort(found.begin(), found.end(),
                       [](const Found& x, const Found& y) { return x.wrong < y.wrong; });
      for (int i = 0; i < 2; ++i)
        Row(Format("model %s, %d step%s, %s", i == 0 ? "best" : "next best", steps, steps > 1 ? "s" : "",
                   in.name),
            Format("%d of %d | %d products at once, %d bits, cut towards %s, sum %s", found[i].wrong,
                   trials * 512, found[i].rules.group, found[i].rules.bits,
                   found[i].rules.floor ? "minus infinity" : "zero",
                   found[i].rules.nearest ? "rounded" : "cut"));
    }
}

}  // namespace

void MeasureMmaBits(const Setup& setup) {
  Section("d. bits: results that differ", "one step | four steps chained");
  // Small integers are exact in any order: they tell which of the two strides is which.
  const Inputs probe = MakeInputs(0, 4, 16);
  const int swapped = Compare<16>(setup, probe, 4, 1, 0, nullptr) ? 1 : 0;
  Row("descriptor: strides", swapped ? "swapped | " : "as documented | ");
  CompareAll<8>(setup, swapped);
  CompareAll<16>(setup, swapped);
  CompareAll<32>(setup, swapped);
  CompareAll<64>(setup, swapped);
  CompareAll<128>(setup, swapped);
  CompareAll<256>(setup, swapped);
  Section("d. mma.sync against the model", "sums that differ | rules");
  SearchModel(setup);
}

}  // namespace limits
