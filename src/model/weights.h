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
#include "tensor/expert_layout.h"

namespace oxidized {

// A stored vector [size] of dtype F32, BF16 or F16.
struct VectorView {
  const std::byte* data = nullptr;
  DType dtype = DType::kBF16;
  int64_t size = 0;

  float operator[](int64_t i) const;  // exact widening to f32
  void Decode(float* out) const;      // all of it, out [size]
};

// A stored matrix [rows, cols], row-major, of dtype F32, BF16, F16 or Q8_0 (tensor/dtype.h; cols a multiple
// of 32); applied as y = W x, y [rows], x [cols].
struct MatrixView {
  const std::byte* data = nullptr;
  DType dtype = DType::kBF16;
  int64_t rows = 0;
  int64_t cols = 0;
  bool interleaved = false;  // Q8_0 whose rows lie interleaved (tensor/interleaved.h)

  VectorView row(int64_t r) const;              // not of Q8_0
  void DecodeRow(int64_t r, float* out) const;  // row r widened to f32, out [cols]; of every dtype
  int64_t row_bytes() const;
  int64_t bytes() const { return rows * row_bytes(); }
};

// One expert's linear map y = W x + bias with W [rows, cols]. The rows of a gate_up map alternate: row 2j
// gate unit j, row 2j+1 up unit j. Some files keep the two apart: then `values` and `bias` hold the even rows
// [rows/2], `up_values` and `up_bias` the odd ones, and up_values is not null (not in kMxfp4 and
// kTransposed).
struct ExpertView {
  ExpertLayout layout = ExpertLayout::kMxfp4;
  DType dtype = DType::kBF16;         // of `values`, for kRows and kTransposed
  const std::byte* values = nullptr;  // blocks, or the matrix
  const std::byte* scales = nullptr;  // kMxfp4, and what was rearranged of it
  VectorView bias;                    // [rows], or [rows/2] of the even rows
  const std::byte* up_values = nullptr;
  VectorView up_bias;  // [rows/2]; size 0 unless up_values
  int64_t rows = 0;
  int64_t cols = 0;

  // Row r of W widened to f32, out [cols].
  void DecodeRow(int64_t r, float* out) const;
  float bias_at(int64_t r) const;  // of row r, wherever it is stored
  int64_t bytes() const;           // stored size, biases included
  int64_t value_bytes() const;     // of `values`, and the same of `up_values` where there are some
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
