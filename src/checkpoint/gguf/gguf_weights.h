// Binds the tensors of a gpt-oss GGUF file to a WeightsView: llama.cpp's names and Ollama's, fused or apart.
//
// MXFP4, Q8_0, BF16, F16 and F32 are viewed where they lie; matrices in other types are planned for
// conversion. Called by OpenCheckpoint.
#pragma once

#include <set>
#include <string>

#include "checkpoint/decoding.h"
#include "checkpoint/gguf/gguf_files.h"
#include "model/weights.h"

namespace oxidized {

struct GgufWeights {
  WeightsView view;                    // into the files bound, and into what `decoding` will fill
  TensorDecoding decoding;             // planned, not run
  std::set<std::string> expert_types;  // "MXFP4"
  bool ollama_names = false;           // some tensor has the name that only Ollama's converter gives
};

// `decode_to`: F32 or BF16. Throws Error(kBadFile) listing the first tensors that are missing or of another
// shape or type. Tensors that no part of the model uses give one warning line.
GgufWeights BindGgufWeights(const ModelConfig& config, const GgufFiles& files, DType decode_to,
                            const std::string& source);

}  // namespace oxidized
