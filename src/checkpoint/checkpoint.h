// A model on disk, opened: its configuration, views of its weights, and the files they lie in.
//
// Opening checks everything that can be checked without reading values: headers, names, shapes, types,
// offsets, sizes and the configuration's own consistency (docs/weights.md). It throws Error(kBadFile) with
// one line that names the file, what was found and what was expected.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "checkpoint/decoding.h"
#include "checkpoint/embedded_vocabulary.h"
#include "model/model_config.h"
#include "model/weights.h"

namespace oxidized {

struct StoredTensor {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;
  int64_t bytes;
  std::string file;
};

struct Checkpoint {
  ModelConfig config;
  WeightsView weights;  // views into `files` and `decoded`
  std::string format;   // "Hugging Face safetensors, MXFP4 experts"
  std::filesystem::path path;
  std::optional<EmbeddedVocabulary> vocabulary;             // in `files`: the model's own
  std::vector<std::filesystem::path> tokenizer_candidates;  // without one: existing files, best first
  std::vector<StoredTensor> tensors;                        // by name
  std::vector<MappedFile> files;                            // owner of the bytes
  DecodedTensors decoded;                                   // owner of what could not be viewed in the files
};

struct OpenOptions {
  DType decode_to = DType::kBF16;  // of tensors in types that nothing computes on; or F32
  // Values will not be read: conversions are planned and counted, not made, and their memory stays untouched.
  bool metadata_only = false;
};

Checkpoint OpenCheckpoint(const std::filesystem::path& path, const OpenOptions& options = {});

}  // namespace oxidized
