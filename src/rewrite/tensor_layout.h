// Which tensors each checkpoint format has, what they are called there and what part of the model each one
// holds: one table for writing the published Hugging Face form, OpenAI's original/ and llama.cpp's GGUF.
//
// The readers have their own statements of the same names (hf_weights and others), so that a mistake in one
// of the two shows when a written file is opened. Called by hf_layout, convert and synth.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint_format.h"
#include "model/parts.h"
#include "rewrite/writer.h"

namespace oxidized {

// What an expert tensor holds of its part: [E, rows] slices.
enum class ExpertPiece : uint8_t { kNone, kMatrix, kBlocks, kScales, kBias };
enum class ExpertRows : uint8_t { kAll, kEven, kOdd };  // even: gate units; odd: up units

// One tensor to write. `spec` is a sequence of rows (of `row_bytes` each): those of the dense parts, one part
// behind the other, or those of all experts.
struct LayoutTensor {
  TensorSpec spec;
  int32_t layer = 0;  // 0 for parts outside the layers
  std::vector<Part> parts;
  ExpertPiece piece = ExpertPiece::kNone;  // kNone: dense
  ExpertRows rows = ExpertRows::kAll;
  int64_t row_bytes = 0;
};

struct LayoutTypes {
  DType dense = DType::kBF16;  // F32, F16, BF16, Q8_0 (GGUF); norms, biases, … of GGUF are always F32
  DType experts =
      DType::kGgmlMxfp4;  // kGgmlMxfp4 stands for MXFP4 in the order of the format; GGUF also F32, BF16
};

// Throws Error(kUnsupported) when the format has no such types, or a matrix does not fit the blocks of one.
std::vector<LayoutTensor> LayoutOf(const ModelConfig& config, CheckpointFormat format, LayoutTypes types);

}  // namespace oxidized
