// The GGUF files of one model, opened and their headers checked: one name space of tensors.
//
// A model is one file of any name (Ollama calls its files sha256-<hex>) or the shards
// <prefix>-0000i-of-0000N.gguf; naming any shard opens all. Knows nothing of gpt-oss. Called by gguf_weights.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "checkpoint/gguf/gguf.h"

namespace oxidized {

struct GgufFiles {
  struct Tensor {
    GgufTensor entry;
    size_t file;  // index into `files`
  };
  std::vector<MappedFile> files;
  std::vector<Gguf> headers;                   // of each file; the first one's metadata is the model's
  std::map<std::string_view, Tensor> tensors;  // names are views into the files

  const std::byte* Data(const Tensor& tensor) const {
    return files[tensor.file].bytes().data() + tensor.entry.begin;
  }
};

// Throws Error(kBadFile, kUnsupported): what ParseGguf finds, a shard that is missing or of another model.
GgufFiles OpenGgufFiles(const std::filesystem::path& path);

bool IsGguf(const std::filesystem::path& file);  // by its first bytes; false for what cannot be read

// The GGUF model of a folder: its only *.gguf, the first of its only set of shards, or the only one of
// Ollama's files in it or in its blobs/. nullopt: none. Throws Error(kBadFile) when there are several.
std::optional<std::filesystem::path> FindGguf(const std::filesystem::path& folder);

}  // namespace oxidized
