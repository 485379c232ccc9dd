#include "conformance/faulty_kernels.h"

#include <atomic>
#include <cmath>
#include <cstring>
#include <vector>

#include "tensor/float16.h"

namespace oxidized::conformance {
namespace {

const CpuKernels& Sound() {
  static const CpuKernels kernels = SoundKernels();
  return kernels;
}

using Dense = void (*)(const DenseArgs&, int64_t, int64_t);
using Experts = void (*)(const ExpertArgs&, int64_t, int64_t);

// Replaces the dense products that narrow models in the published form use.
template <void (*change)(DenseArgs& args, int64_t n0, int64_t n1),
          void (*after)(const DenseArgs& args, int64_t n0, int64_t n1)>
void PlantDense(CpuKernels& kernels) {
  kernels.f32_bf16w_matmul = [](const DenseArgs& given, int64_t n0, int64_t n1) {
    DenseArgs args = given;
    change(args, n0, n1);
    Sound().f32_bf16w_matmul(args, n0, n1);
    after(given, n0, n1);
  };
}
void Nothing(DenseArgs&, int64_t, int64_t) {}
void NothingAfter(const DenseArgs&, int64_t, int64_t) {}

template <void (*change)(ExpertArgs& args)>
void PlantGateUp(CpuKernels& kernels) {
  kernels.f32_mxfp4w_moe_gate_up = [](const ExpertArgs& given, int64_t n0, int64_t n1) {
    ExpertArgs args = given;
    change(args);
    Sound().f32_mxfp4w_moe_gate_up(args, n0, n1);
  };
}
template <void (*change)(ExpertArgs& args)>
void PlantDown(CpuKernels& kernels) {
  kernels.f32_mxfp4w_moe_down = [](const ExpertArgs& given, int64_t n0, int64_t n1) {
    ExpertArgs args = given;
    change(args);
    Sound().f32_mxfp4w_moe_down(args, n0, n1);
  };
}

template <void (*change)(AttentionArgs& args), void (*after)(const AttentionArgs& args) = nullptr>
void PlantAttention(CpuKernels& kernels) {
  const auto f32 = [](const AttentionArgs& given) {
    AttentionArgs args = given;
    change(args);
    Sound().f32_f32kv_attention(args);
    if (after != nullptr) after(given);
  };
  const auto bf16 = [](const AttentionArgs& given) {
    AttentionArgs args = given;
    change(args);
    Sound().f32_bf16kv_attention(args);
  };
  kernels.f32_f32kv_attention = f32;
  kernels.f32_bf16kv_attention = bf16;
}

void KeepArgs(AttentionArgs&) {}

void WindowTooShort(AttentionArgs& args) {
  if (args.first == 0 || args.first == args.last) return;
  if (++args.first % kKernelBlockTokens == 0) ++args.block_ids;
}
void WindowTooLong(AttentionArgs& args) {
  if (args.first % kKernelBlockTokens != 0) --args.first;
}
void NoSink(AttentionArgs& args) {
  static const std::vector<float> none(256, -1e30f);
  args.sinks = none.data();
}
void FirstSinkForAll(AttentionArgs& args) {
  thread_local std::vector<float> all;
  all.assign(static_cast<size_t>(args.heads), args.sinks[0]);
  args.sinks = all.data();
}
// The places behind the last position count with weight 0, which a NaN in them survives.
void TailCountsNothing(const AttentionArgs& args) {
  const int64_t d = args.head_dim, padded = (d + 31) / 32 * 32;
  const int32_t block = args.block_ids[args.last / kKernelBlockTokens - args.first / kKernelBlockTokens];
  const auto* values =
      reinterpret_cast<const float*>(args.kv + block * args.block_bytes) + d * kKernelBlockTokens;
  for (int64_t slot = args.last % kKernelBlockTokens + 1; slot < kKernelBlockTokens; ++slot) {
    for (int64_t h = 0; h < args.heads; ++h) {
      for (int64_t i = 0; i < d; ++i) args.out[h * d + i] += 0.0f * values[slot * padded + i];
    }
  }
}

constexpr KernelFault kFaults[] = {
    {"rotation the other way", "taps",
     [](CpuKernels& k) {
       k.f32_rope = [](float* vectors, int32_t heads, int32_t head_dim, const float* cos, const float* sin) {
         thread_local std::vector<float> turned;
         turned.assign(sin, sin + head_dim / 2);
         for (float& s : turned) s = -s;
         Sound().f32_rope(vectors, heads, head_dim, cos, turned.data());
       };
     }},
    {"rotation of neighbours", "taps",
     [](CpuKernels& k) {
       k.f32_rope = [](float* vectors, int32_t heads, int32_t head_dim, const float* cos, const float* sin) {
         for (int32_t h = 0; h < heads; ++h) {
           for (int32_t i = 0; i < head_dim / 2; ++i) {
             float* pair = vectors + h * head_dim + 2 * i;
             const float a = pair[0], b = pair[1];
             pair[0] = a * cos[i] - b * sin[i];
             pair[1] = b * cos[i] + a * sin[i];
           }
         }
       };
     }},
    {"the last head is not rotated", "taps",
     [](CpuKernels& k) {
       k.f32_rope = [](float* vectors, int32_t heads, int32_t head_dim, const float* cos, const float* sin) {
         Sound().f32_rope(vectors, heads - (heads % 2), head_dim, cos, sin);
       };
     }},
    {"window one too short", "taps", PlantAttention<WindowTooShort>},
    {"window one too long", "taps", PlantAttention<WindowTooLong>},
    {"no sink", "taps", PlantAttention<NoSink>},
    {"one sink for all heads", "taps", PlantAttention<FirstSinkForAll>},
    {"scores are not scaled", "taps", PlantAttention<[](AttentionArgs& args) { args.scale = 1.0f; }>},
    {"places behind the last position count with weight 0", "non-finite",
     PlantAttention<KeepArgs, TailCountsNothing>},
    {"no bias", "taps",
     PlantDense<[](DenseArgs& args, int64_t, int64_t) { args.bias = nullptr; }, NothingAfter>},
    {"a tail of columns is dropped", "taps",
     PlantDense<[](DenseArgs& args, int64_t, int64_t) { args.k = args.k / 64 * 64; }, NothingAfter>},
    {"sums stop at 2048 columns", "wide-32",
     PlantDense<[](DenseArgs& args, int64_t, int64_t) { args.k = args.k < 2048 ? args.k : 2048; },
                NothingAfter>},
    {"a tail of rows is dropped", "taps",
     PlantDense<Nothing,
                [](const DenseArgs& args, int64_t, int64_t n1) {
                  for (int64_t t = 0; n1 % 4 != 0 && t < args.tokens; ++t)
                    args.y[t * args.ldy + n1 - 1] = 0.0f;
                }>},
    {"the last token of an odd tile is dropped", "taps",
     PlantDense<[](DenseArgs& args, int64_t, int64_t) { args.tokens -= args.tokens % 4 == 3 ? 1 : 0; },
                NothingAfter>},
    {"sums depend on how many tokens there are", "chunks",
     PlantDense<Nothing,
                [](const DenseArgs& args, int64_t n0, int64_t n1) {
                  for (int64_t t = 0; args.tokens >= 8 && t < args.tokens; ++t) {
                    for (int64_t n = n0; n < n1; ++n) {
                      float& y = args.y[t * args.ldy + n];
                      y = std::nextafter(y, 2.0f * y);
                    }
                  }
                }>},
    {"SwiGLU with another slope", "taps", PlantGateUp<[](ExpertArgs& args) { args.alpha = 1.0f; }>},
    {"SwiGLU is not clamped", "taps", PlantGateUp<[](ExpertArgs& args) { args.limit = 1e9f; }>},
    {"experts without a bias", "taps", PlantDown<[](ExpertArgs& args) {
       static const std::vector<std::byte> zeros(1 << 16);
       args.bias = zeros.data();
     }>},
    {"the last row of an expert is computed with another's activations", "taps",
     PlantGateUp<[](ExpertArgs& args) {
       thread_local std::vector<int32_t> rows;
       if (args.tokens < 3) return;
       rows.assign(args.x_rows, args.x_rows + args.tokens);
       rows.back() = rows.front();
       args.x_rows = rows.data();
     }>},
    {"weights of a token's experts in another order", "taps",
     [](CpuKernels& k) {
       k.f32_combine = [](const float* parts, int64_t ld, const float* weights, const int32_t* experts,
                          int32_t ranks, int64_t m, float* y) {
         thread_local std::vector<float> turned;
         turned.assign(weights, weights + ranks);
         if (ranks > 1) std::swap(turned[0], turned[1]);
         Sound().f32_combine(parts, ld, turned.data(), experts, ranks, m, y);
       };
     }},
    {"a token's last expert is forgotten", "taps",
     [](CpuKernels& k) {
       k.f32_combine = [](const float* parts, int64_t ld, const float* weights, const int32_t* experts,
                          int32_t ranks, int64_t m, float* y) {
         Sound().f32_combine(parts, ld, weights, experts, ranks > 1 ? ranks - 1 : ranks, m, y);
       };
     }},
    {"choices that found no expert count as the first's", "capacity",
     [](CpuKernels& k) {
       k.f32_combine = [](const float* parts, int64_t ld, const float* weights, const int32_t* experts,
                          int32_t ranks, int64_t m, float* y) {
         thread_local std::vector<int32_t> all;
         thread_local std::vector<float> some;
         all.assign(experts, experts + ranks);
         some.assign(weights, weights + ranks);
         for (int32_t r = 0; r < ranks; ++r) {
           if (all[static_cast<size_t>(r)] < 0)
             all[static_cast<size_t>(r)] = 0, some[static_cast<size_t>(r)] = 1.0f;
         }
         Sound().f32_combine(parts, ld, some.data(), all.data(), ranks, m, y);
       };
     }},
    {"keys and values lose half their bits", "taps",
     [](CpuKernels& k) {
       k.write_kv = [](const float* key, const float* value, int32_t d, DType type, int32_t slot,
                       std::byte* block) {
         thread_local std::vector<float> rounded;
         rounded.assign(key, key + d);
         rounded.insert(rounded.end(), value, value + d);
         for (float& v : rounded) v = RoundToBf16(v);
         Sound().write_kv(rounded.data(), rounded.data() + d, d, type, slot, block);
       };
     }},
    {"a place that was written keeps its key and value", "void-rows",
     [](CpuKernels& k) {
       k.write_kv = [](const float* key, const float* value, int32_t d, DType type, int32_t slot,
                       std::byte* block) {
         float first = 0.0f;  // keys lie [D][B]
         std::memcpy(&first, block + slot * 4, 4);
         if (type != DType::kF32 || first == 0.0f) Sound().write_kv(key, value, d, type, slot, block);
       };
     }},
    {"the end of a block is written to its beginning", "taps",
     [](CpuKernels& k) {
       k.write_kv = [](const float* key, const float* value, int32_t d, DType type, int32_t slot,
                       std::byte* block) {
         Sound().write_kv(key, value, d, type, slot == kKernelBlockTokens - 1 ? 0 : slot, block);
       };
     }},
    {"norms without their scale", "taps",
     [](CpuKernels& k) {
       k.f32_rms_norm = [](const float* x, const float*, float eps, int64_t m, float* y) {
         thread_local std::vector<float> ones;
         ones.assign(static_cast<size_t>(m), 1.0f);
         Sound().f32_rms_norm(x, ones.data(), eps, m, y);
       };
     }},
    {"a sum now and then differs in its last bit", "repeats",
     [](CpuKernels& k) {
       k.f32_add = [](float* x, const float* y, int64_t n) {
         static std::atomic<uint64_t> calls = 0;
         Sound().f32_add(x, y, n);
         if (++calls % 101 == 0) x[0] = std::nextafter(x[0], 2.0f * x[0]);
       };
     }},
};

}  // namespace

std::span<const KernelFault> KernelFaults() { return kFaults; }

CpuKernels SoundKernels() {
  CpuKernels kernels = SelectCpuKernels("");
  kernels.native_bf16 = false;
  kernels.grouped_mxfp4 = false;
  return kernels;
}

}  // namespace oxidized::conformance
