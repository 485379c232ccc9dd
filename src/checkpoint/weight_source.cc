#include "checkpoint/weight_source.h"

#include "base/error.h"
#include "tensor/stored.h"

namespace oxidized {
namespace {

MatrixView AsMatrix(const VectorView& vector) { return {vector.data, vector.dtype, vector.size, 1}; }

}  // namespace

MatrixView DensePart(const WeightsView& weights, Part part, int32_t layer) {
  if (part == Part::kEmbedding) return weights.embedding;
  if (part == Part::kUnembedding) return weights.unembedding;
  if (part == Part::kFinalNorm) return AsMatrix(weights.final_norm);
  const LayerWeights& w = weights.layers[static_cast<size_t>(layer)];
  switch (part) {
    case Part::kAttentionNorm:
      return AsMatrix(w.attention_norm);
    case Part::kQ:
      return w.q;
    case Part::kQBias:
      return AsMatrix(w.q_bias);
    case Part::kK:
      return w.k;
    case Part::kKBias:
      return AsMatrix(w.k_bias);
    case Part::kV:
      return w.v;
    case Part::kVBias:
      return AsMatrix(w.v_bias);
    case Part::kSinks:
      return AsMatrix(w.sinks);
    case Part::kO:
      return w.o;
    case Part::kOBias:
      return AsMatrix(w.o_bias);
    case Part::kMlpNorm:
      return AsMatrix(w.mlp_norm);
    case Part::kRouter:
      return w.router;
    default:
      OX_CHECK(part == Part::kRouterBias);
      return AsMatrix(w.router_bias);
  }
}

MatrixView StoredWeights::Rows(Part part, int32_t layer, int64_t first, int64_t count, Scratch&) const {
  MatrixView rows = DensePart(weights_, part, layer);
  rows.data += first * rows.row_bytes();
  rows.rows = count;
  return rows;
}

WeightSource::ExpertSlice StoredWeights::Expert(Part part, int32_t layer, int32_t expert, int64_t, int64_t,
                                                ExpertPiece, Scratch&) const {
  const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
  return {(part == Part::kGateUp ? w.gate_up : w.down)[static_cast<size_t>(expert)], 0};
}

}  // namespace oxidized
