// What the CPU executor holds besides the weights: activations of one step, the paged KV memory, and small
// vectors of the model widened to f32. Owned by CpuExecutor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/aligned_buffer.h"
#include "executor/cpu/cpu_products.h"
#include "executor/limits.h"
#include "kernels/cpu/cpu_kernels.h"
#include "model/weights.h"

namespace oxidized {

// Activations of a step of up to T rows, f32 unless said otherwise; pages of rows never used are never
// touched. Sets of rows that feed a product exist a second time in the products' XFormat, unless that is the
// same, and in the int8 path once more as int8.
struct CpuActivations {
  AlignedBuffer<float> residual;  // [T, M]
  AlignedBuffer<float> normed;    // [T, M]
  AlignedBuffer<std::byte> normed_x, normed_int8;
  AlignedBuffer<float> qkv;        // [T, H*D], then [T, G*D] keys, then [T, G*D] values
  AlignedBuffer<float> attention;  // [T, H*D]
  AlignedBuffer<std::byte> attention_x, attention_int8;
  AlignedBuffer<float> delta;      // [T, M] what a sub-layer adds to the residual
  AlignedBuffer<float> router;     // [T, E]
  AlignedBuffer<float> cos, sin;   // [T, D/2]
  AlignedBuffer<std::byte> gated;  // [T * ranks, F] rows of GatedRowBytes()
  AlignedBuffer<float> parts;      // [T * ranks, M] each chosen expert's output
  int32_t ranks = 0;

  CpuActivations(const ModelConfig& config, const ExecutorLimits& limits, const ProductFormats& formats);
  // Room for `ranks` experts a token; allocates only when it grows.
  void FitRanks(const ModelConfig& config, int64_t max_step_tokens, XFormat experts, int32_t wanted);
};

// Paged KV of one group of layers: [blocks][layers][G] parts of KvHeadElements(D) elements
// (kernels/cpu/cpu_kernels.h).
class CpuKvGroup {
 public:
  CpuKvGroup(int32_t blocks, int64_t layers, const ModelConfig& config, DType type);

  std::byte* Part(int32_t block, int64_t layer_in_group, int64_t kv_head) {
    return memory_.data() + block * block_bytes_ + (layer_in_group * kv_heads_ + kv_head) * part_bytes_;
  }
  int64_t block_bytes() const { return block_bytes_; }
  void Copy(int32_t from, int32_t to);

 private:
  int64_t kv_heads_, part_bytes_, block_bytes_;
  AlignedBuffer<std::byte> memory_;
};

// The vectors of a layer that are read whole for every token, widened once.
struct CpuLayerVectors {
  std::vector<float> attention_norm, q_bias, k_bias, v_bias, sinks, o_bias, mlp_norm, router_bias;
  CpuLayerVectors(const LayerWeights& layer, const CpuKernels& kernels);
};
std::vector<float> Widened(const VectorView& vector, const CpuKernels& kernels);

}  // namespace oxidized
