// Writes a whole model in one of the checkpoint formats from a source of weights: tensors, configuration,
// vocabulary. What convert and synth have in common.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "rewrite/tensor_encoder.h"
#include "rewrite/tensor_layout.h"
#include "rewrite/weight_source.h"
#include "rewrite/writer.h"
#include "tokenizer/tokenizer.h"

namespace oxidized {

struct ModelOutput {
  std::filesystem::path out;  // GGUF: the file; otherwise the folder
  CheckpointFormat format = CheckpointFormat::kHuggingFace;
  LayoutTypes types;
  // GGUF: stored in the file, without one the file names none. Elsewhere: gives the id a text begins with.
  const Tokenizer* tokenizer = nullptr;
  std::string chat_template;                                  // GGUF: stored if not empty
  std::map<std::string, std::filesystem::path> copied_files;  // into the folder: tokenizer.json, …
  std::map<std::string, std::string> text_files;              // the same
  int threads = 2;
  bool read_back = false;
  decltype(WritePlan::progress) progress;
  decltype(WritePlan::free_bytes) free_bytes;
  decltype(WritePlan::before_read_back) before_read_back;
};

struct ModelWritten {
  int64_t tensor_bytes = 0;
  RoundingError dense, experts;
};

// Throws like WriteFiles, and Error(kUnsupported) for a model that the format cannot express.
ModelWritten WriteModel(const WeightSource& source, const ModelOutput& output);

}  // namespace oxidized
