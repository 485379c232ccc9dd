// Makes the file that packed_file.h reads. Called by the `convert` command.
#pragma once

#include <filesystem>
#include <functional>

#include "model/packed_dense.h"
#include "rewrite/writer.h"

namespace oxidized {

struct PackedFileOptions {
  std::filesystem::path in;   // a model
  std::filesystem::path out;  // a file that does not exist
  int threads = 2;
  PackedDense::Progress packing_progress = {}, digest_progress = {};  // stored bytes
  decltype(WritePlan::progress) progress = {};
  decltype(WritePlan::free_bytes) free_bytes = {};
};

struct PackedFileWritten {
  std::string source_format;
  int64_t matrices = 0;      // packed
  int64_t stored_bytes = 0;  // of these
  int64_t left = 0;          // matrices in bf16 that would not shrink by a tenth
  int64_t file_bytes = 0;
};

// The packed matrices are in memory while they are written. Throws Error: what OpenCheckpoint and WriteFiles
// throw; kUnsupported when the model has no matrix that packing makes smaller.
PackedFileWritten WritePackedFile(const PackedFileOptions& options);

}  // namespace oxidized
