// A model on disk, opened: its configuration, views of its weights, and the files they lie in.
//
// Opening checks everything that can be checked without reading values: headers, names, shapes, types,
// offsets, sizes and the configuration's own consistency (docs/weights.md). It throws Error(kBadFile) with
// one line that names the file, what was found and what was expected.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/mapped_file.h"
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
  WeightsView weights;  // views into `files`
  std::string format;   // "Hugging Face safetensors, MXFP4 experts"
  std::filesystem::path path;
  std::vector<std::filesystem::path> tokenizer_candidates;  // existing files, best first
  std::vector<StoredTensor> tensors;                        // by name
  std::vector<MappedFile> files;                            // owner of the bytes
};

struct OpenOptions {
  MappedFile::Mode mode = MappedFile::Mode::kMap;
};

Checkpoint OpenCheckpoint(const std::filesystem::path& path, const OpenOptions& options = {});

}  // namespace oxidized
