// The safetensors files of a model folder, opened and their headers checked: one name space of tensors.
//
// Which files belong to the model is what model.safetensors.index.json says (file names of any form, in the
// folder itself), otherwise the only *.safetensors file there is. Knows nothing of gpt-oss. Called by
// OpenCheckpoint.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "checkpoint/hf/safetensors.h"

namespace oxidized {

inline constexpr const char* kIndexFileName = "model.safetensors.index.json";

struct SafetensorsIndex {
  std::map<std::string, std::string> file_of_tensor;  // plain file names: no separator, not "." or ".."
  std::optional<int64_t> total_bytes;                 // of all tensors
};

// Function on text, entry point of a fuzz target. Throws Error(kBadFile), `name` standing for the file.
SafetensorsIndex ParseSafetensorsIndex(std::string_view json, const std::string& name);

struct ModelFiles {
  struct Tensor {
    SafetensorsEntry entry;
    size_t file;  // index into `files`
  };
  std::vector<MappedFile> files;
  std::map<std::string, Tensor, std::less<>> tensors;

  const std::byte* Data(const Tensor& tensor) const {
    return files[tensor.file].bytes().data() + tensor.entry.begin;
  }
};

// `only`: this file of the folder, unless the index lists it as one of several. Throws Error(kBadFile) naming
// the file and the tensor: a tensor missing from its file, in another file than the index says, or in two.
ModelFiles OpenModelFiles(const std::filesystem::path& folder, const std::optional<std::string>& only);

// Every *.safetensors file of the folder, whatever an index says. Throws likewise.
ModelFiles OpenAllModelFiles(const std::filesystem::path& folder);

}  // namespace oxidized
