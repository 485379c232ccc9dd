#include "executor/cpu/cpu_memory.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "kv/kv_layout.h"

namespace oxidized {
namespace {

static_assert(kKvBlockTokens == kKernelBlockTokens);

template <typename T>
AlignedBuffer<T> Activation(int64_t size) {
  return AlignedBuffer<T>("activations", MemoryClass::kActivations, static_cast<size_t>(size));
}

// Rows [rows, n] in the format; none when they are the f32 rows themselves.
AlignedBuffer<std::byte> XRows(int64_t rows, int64_t n, XFormat format) {
  if (format.type == XType::kF32 && format.rounding == Rounding::kNone && n % kXPad == 0) return {};
  return Activation<std::byte>(rows * XRowBytes(format.type, n));
}

}  // namespace

CpuActivations::CpuActivations(const ModelConfig& c, const ExecutorLimits& limits,
                               const ProductFormats& formats) {
  const int64_t t = limits.max_step_tokens, m = c.hidden_size;
  residual = Activation<float>(t * m);
  normed = Activation<float>(t * m);
  normed_x = XRows(t, m, formats.dense);
  if (formats.any_int8()) normed_int8 = XRows(t, m, {XType::kInt8});
  qkv = Activation<float>(t * (c.query_width() + 2 * c.kv_width()));
  attention = Activation<float>(t * c.query_width());
  attention_x = XRows(t, c.query_width(), formats.dense);
  if (formats.int8_dense) attention_int8 = XRows(t, c.query_width(), {XType::kInt8});
  delta = Activation<float>(t * m);
  router = Activation<float>(t * c.most_experts());
  cos = Activation<float>(t * (c.head_dim / 2));
  sin = Activation<float>(t * (c.head_dim / 2));
  FitRanks(c, t, formats.experts, c.experts_per_token);
}

void CpuActivations::FitRanks(const ModelConfig& c, int64_t max_step_tokens, XFormat experts,
                              int32_t wanted) {
  if (wanted <= ranks) return;
  const int64_t rows = max_step_tokens * wanted;
  gated = Activation<std::byte>(rows * GatedRowBytes(experts, c.expert_width));
  parts = Activation<float>(rows * c.hidden_size);
  ranks = wanted;
}

CpuKvGroup::CpuKvGroup(int32_t blocks, int64_t layers, const ModelConfig& config, DType type)
    : kv_heads_(config.num_kv_heads),
      part_bytes_(KvHeadElements(config.head_dim) * Bits(type) / 8),
      block_bytes_(layers * kv_heads_ * part_bytes_),
      memory_("KV cache", MemoryClass::kKv, static_cast<size_t>(blocks * block_bytes_)) {
  AdviseHugePages(memory_.data(), memory_.size());
}

void CpuKvGroup::Copy(int32_t from, int32_t to) {
  std::memcpy(memory_.data() + to * block_bytes_, memory_.data() + from * block_bytes_,
              static_cast<size_t>(block_bytes_));
}

std::vector<float> Widened(const VectorView& vector, const CpuKernels& kernels) {
  std::vector<float> out(static_cast<size_t>(vector.size));
  kernels.widen(vector.data, vector.dtype, vector.size, out.data());
  return out;
}

CpuLayerVectors::CpuLayerVectors(const LayerWeights& l, const CpuKernels& k)
    : attention_norm(Widened(l.attention_norm, k)),
      q_bias(Widened(l.q_bias, k)),
      k_bias(Widened(l.k_bias, k)),
      v_bias(Widened(l.v_bias, k)),
      sinks(Widened(l.sinks, k)),
      o_bias(Widened(l.o_bias, k)),
      mlp_norm(Widened(l.mlp_norm, k)),
      router_bias(Widened(l.router_bias, k)) {}

}  // namespace oxidized
