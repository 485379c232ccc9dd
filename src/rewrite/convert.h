// Rewrites an opened checkpoint in another format: Hugging Face, OpenAI's original/, llama.cpp's GGUF. MXFP4
// is moved bit for bit; what has to be rounded is measured; what would lose silently is refused. Called by
// the `convert` command.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "rewrite/model_writer.h"

namespace oxidized {

struct ConvertOptions {
  std::filesystem::path in;
  std::filesystem::path out;  // as ModelOutput::out
  CheckpointFormat format = CheckpointFormat::kHuggingFace;
  LayoutTypes types;
  bool quantize_experts = false;  // experts that are not MXFP4 may be rounded to it
  int threads = 2;
  std::function<void(int64_t done_bytes, int64_t total_bytes)> scan_progress;  // as of ScanAll
  decltype(WritePlan::progress) progress;
  decltype(WritePlan::free_bytes) free_bytes;
};

struct ConvertReport {
  std::string source_format;
  ModelWritten written;
  std::vector<std::string> warnings;  // values that make no sense and went through: a line each
  std::vector<std::string> notes;     // what became of the tokenizer, what was rounded: a line each
};

// Throws Error: what OpenCheckpoint and WriteModel throw, kUnsupported for experts that would have to be
// rounded unasked.
ConvertReport ConvertCheckpoint(const ConvertOptions& options);

}  // namespace oxidized
