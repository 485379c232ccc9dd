// Views of a model's weights wherever they lie (a mapped file, usually): pointers, types and shapes, no bytes
// owned.
//
// checkpoint/ fills a WeightsView from each file format and keeps the owner alive beside it; executors read
// it. Stored data may start at any address: load with LoadUnaligned or unaligned vector loads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "model/model_config.h"
#include "tensor/dtype.h"

namespace oxidized {

// A stored vector [size] of dtype F32, BF16 or F16.
struct VectorView {
  const std::byte* data = nullptr;
  DType dtype = DType::kBF16;
  int64_t size = 0;

  float operator[](int64_t i) const;  // exact widening to f32
  void Decode(float* out) const;      // all of it, out [size]
};

// A stored matrix [rows, cols], row-major, of dtype F32, BF16 or F16; applied as y = W x, y [rows], x [cols].
struct MatrixView {
  const std::byte* data = nullptr;
  DType dtype = DType::kBF16;
  int64_t rows = 0;
  int64_t cols = 0;

  VectorView row(int64_t r) const;
};

enum class ExpertLayout : uint8_t {
  kMxfp4,       // blocks [rows, cols/32, 16] bytes, scales [rows, cols/32] bytes (tensor/mxfp4.h)
  kTransposed,  // values [cols, rows] of `dtype`: the dequantised Hugging Face form
};

// One expert's linear map y = W x + bias with W [rows, cols].
struct ExpertView {
  ExpertLayout layout = ExpertLayout::kMxfp4;
  DType dtype = DType::kBF16;         // of `values`, for kTransposed
  const std::byte* values = nullptr;  // blocks, or the transposed matrix
  const std::byte* scales = nullptr;  // kMxfp4 only
  VectorView bias;                    // [rows]
  int64_t rows = 0;
  int64_t cols = 0;

  // Row r of W widened to f32, out [cols].
  void DecodeRow(int64_t r, float* out) const;
  int64_t bytes() const;  // stored size, bias included
};

// Layer weights; comments give shapes [rows, cols].
struct LayerWeights {
  VectorView attention_norm;  // [M]
  MatrixView q, k, v;         // [H*D, M], [G*D, M], [G*D, M]
  VectorView q_bias, k_bias, v_bias;
  VectorView sinks;        // [H] one logit a query head, in every layer
  MatrixView o;            // [M, H*D]
  VectorView o_bias;       // [M]
  VectorView mlp_norm;     // [M]
  MatrixView router;       // [E, M]
  VectorView router_bias;  // [E]
  // gate_up: [2F, M], rows interleaved (row 2j gate unit j, row 2j+1 up unit j); down: [M, F].
  std::vector<ExpertView> gate_up,
      down;  // [E] each: kernels take pointers to experts, never base plus stride
};

struct WeightsView {
  MatrixView embedding;  // [V, M]
  std::vector<LayerWeights> layers;
  VectorView final_norm;   // [M]
  MatrixView unembedding;  // [V, M]
};

}  // namespace oxidized
