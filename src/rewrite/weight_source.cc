#include "rewrite/weight_source.h"

namespace oxidized {
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
