// Where converted weights come from: stretches of rows of a model's parts, as stored in an opened checkpoint
// or made on the spot (synth), so that no whole tensor need be in memory. Called by tensor_encoder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "model/weights.h"
#include "rewrite/tensor_layout.h"

namespace oxidized {

class WeightSource {
 public:
  // Room of one thread for rows that are not in memory; views returned with it end with its next use.
  struct Scratch {
    std::vector<std::byte> values, scales, bias;
  };
  // Row `first` of the expert's matrix (and bias) is row 0 of the view: its `rows` count from there.
  struct ExpertSlice {
    ExpertView view;
    int64_t first = 0;
  };

  virtual ~WeightSource() = default;
  virtual const ModelConfig& config() const = 0;

  // Rows [first, first + count) of a dense part; of a vector (cols 1), those of its elements.
  virtual MatrixView Rows(Part part, int32_t layer, int64_t first, int64_t count, Scratch& scratch) const = 0;

  // At least rows [first, first + count) of one expert; of what `piece` needs: its blocks, its scales, both
  // (kMatrix) or its bias.
  virtual ExpertSlice Expert(Part part, int32_t layer, int32_t expert, int64_t first, int64_t count,
                             ExpertPiece piece, Scratch& scratch) const = 0;
};

// The stored weights of a view, which must outlive the source.
class StoredWeights : public WeightSource {
 public:
  StoredWeights(const ModelConfig& config, const WeightsView& weights) : config_(config), weights_(weights) {}

  const ModelConfig& config() const override { return config_; }
  MatrixView Rows(Part part, int32_t layer, int64_t first, int64_t count, Scratch& scratch) const override;
  ExpertSlice Expert(Part part, int32_t layer, int32_t expert, int64_t first, int64_t count,
                     ExpertPiece piece, Scratch& scratch) const override;

 private:
  const ModelConfig& config_;
  const WeightsView& weights_;
};

}  // namespace oxidized
