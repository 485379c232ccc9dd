// What a path that the user gave stands for: which checkpoint format, and where its files lie. Reads names,
// first bytes and config.json's kind; what is not a model, or one in a form this program does not read, is
// refused by name. Called by OpenCheckpoint.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint_format.h"

namespace oxidized {

struct Location {
  CheckpointFormat format;
  std::filesystem::path folder;
  std::optional<std::string> only;                       // Hugging Face: the .safetensors file that was named
  std::filesystem::path gguf;                            // GGUF: the file
  std::vector<std::filesystem::path> tokenizer_folders;  // where a tokenizer may lie, best first
};

// `path`: a file of a model or the folder of one: Hugging Face's, OpenAI's original/ or the folder above it,
// one with a GGUF model, or a model's entry in the Hugging Face cache (models--openai--gpt-oss-20b). Throws
// Error(kBadFile, kUnsupported).
Location LocateCheckpoint(const std::filesystem::path& path);

// Every file that the model at `path` may consist of, sound or not: all below a folder; a file, those beside
// it of its kind (parts, shards) and what goes with them. Throws nothing: what cannot be read is left out.
std::vector<std::filesystem::path> FilesOfModel(const std::filesystem::path& path);

}  // namespace oxidized
