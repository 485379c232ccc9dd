// The parts of a model by name, as WeightsView divides it: what a file's tensors hold, what a check or a
// conversion walks over.
#pragma once

#include <cstdint>

#include "model/model_config.h"
#include "model/weights.h"

namespace oxidized {

// A part of the model, as WeightsView divides it.
enum class Part : uint8_t {
  kEmbedding,
  kUnembedding,
  kFinalNorm,
  kAttentionNorm,
  kQ,
  kQBias,
  kK,
  kKBias,
  kV,
  kVBias,
  kSinks,
  kO,
  kOBias,
  kMlpNorm,
  kRouter,
  kRouterBias,
  kGateUp,  // experts: the matrices with their biases
  kDown,
};
const char* Name(Part part);  // for people: "attention query weight"

// [rows, cols] of a part; a vector of n is [n, 1]; of an expert part, the matrix of one expert.
struct PartShape {
  int64_t rows;
  int64_t cols;
};
PartShape ShapeOf(const ModelConfig& config, Part part);

// The whole of a dense part as a matrix; a vector of n is [n, 1].
MatrixView DensePart(const WeightsView& weights, Part part, int32_t layer);

}  // namespace oxidized
