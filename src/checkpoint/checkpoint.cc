#include "checkpoint/checkpoint.h"

#include <algorithm>

#include "base/error.h"
#include "base/file_status.h"
#include "checkpoint/gguf/gguf_checkpoint.h"
#include "checkpoint/hf/hf_config.h"
#include "checkpoint/hf/hf_weights.h"
#include "checkpoint/json_file.h"
#include "checkpoint/locate.h"
#include "checkpoint/model_files.h"
#include "checkpoint/original/original_config.h"
#include "checkpoint/original/original_weights.h"

namespace oxidized {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> TokenizerFiles(const std::vector<fs::path>& folders) {
  std::vector<fs::path> found;
  for (const fs::path& folder : folders) {
    if (IsFile(folder / "tokenizer.json")) found.push_back(folder / "tokenizer.json");
    std::vector<fs::path> ranks;
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(folder, ignored)) {
      if (entry.path().extension() == ".tiktoken") ranks.push_back(entry.path());
    }
    std::sort(ranks.begin(), ranks.end());
    found.insert(found.end(), ranks.begin(), ranks.end());
  }
  return found;
}

// The tensors as stored, and the files that own them.
void TakeFiles(ModelFiles&& files, Checkpoint& checkpoint) {
  for (const auto& [name, tensor] : files.tensors) {
    const SafetensorsEntry& entry = tensor.entry;
    checkpoint.tensors.push_back({name, entry.dtype, entry.shape, entry.end - entry.begin,
                                  files.files[tensor.file].path().filename().string()});
  }
  checkpoint.files = std::move(files.files);
}

const char* FormatName(const HfWeights& weights) {
  if (!weights.transposed) return "Hugging Face safetensors, MXFP4 experts";
  return weights.mxfp4 ? "Hugging Face safetensors, MXFP4 and dequantised experts"
                       : "Hugging Face safetensors, dequantised experts";
}

Checkpoint OpenHf(const Location& location, const fs::path& path) {
  const fs::path config_path = location.folder / "config.json";
  HfConfig config = ParseHfConfig(ReadSmallFile(config_path), config_path.string());
  const fs::path generation_path = location.folder / "generation_config.json";
  if (IsThere(generation_path)) {
    AddGenerationConfig(ReadSmallFile(generation_path), generation_path.string(), config.model);
  }
  ModelFiles files = OpenModelFiles(location.folder, location.only);
  HfWeights weights = BindHfWeights(config, files, path.string());

  Checkpoint checkpoint;
  checkpoint.config = std::move(config.model);
  checkpoint.format = FormatName(weights);
  checkpoint.weights = std::move(weights.view);
  TakeFiles(std::move(files), checkpoint);
  return checkpoint;
}

Checkpoint OpenOriginal(const Location& location, const fs::path& path) {
  const fs::path config_path = location.folder / "config.json", dtypes_path = location.folder / "dtypes.json";
  Checkpoint checkpoint;
  checkpoint.config = ParseOriginalConfig(ReadSmallFile(config_path), config_path.string());
  OriginalDtypes dtypes;
  if (IsThere(dtypes_path)) dtypes = ParseOriginalDtypes(ReadSmallFile(dtypes_path), dtypes_path.string());
  ModelFiles files = OpenAllModelFiles(location.folder);
  checkpoint.weights = BindOriginalWeights(checkpoint.config, files, dtypes, path.string());
  const bool mxfp4 = checkpoint.weights.layers[0].gate_up[0].layout == ExpertLayout::kMxfp4;
  checkpoint.format = mxfp4 ? "OpenAI original, MXFP4 experts" : "OpenAI original, unquantised experts";
  TakeFiles(std::move(files), checkpoint);
  return checkpoint;
}

Checkpoint OpenLocated(const Location& location, const fs::path& path, const OpenOptions& options) {
  switch (location.format) {
    case CheckpointFormat::kGguf:
      return OpenGguf(location.gguf, options);
    case CheckpointFormat::kOriginal:
      return OpenOriginal(location, path);
    default:
      return OpenHf(location, path);
  }
}

}  // namespace

Checkpoint OpenCheckpoint(const fs::path& path, const OpenOptions& options) {
  try {
    const Location location = LocateCheckpoint(path);
    Checkpoint checkpoint = OpenLocated(location, path, options);
    checkpoint.path = path;
    // A file that carries its own is not overruled by whatever lies beside it: folders hold models of many
    // kinds.
    if (!checkpoint.vocabulary) checkpoint.tokenizer_candidates = TokenizerFiles(location.tokenizer_folders);
    return checkpoint;
  } catch (const fs::filesystem_error& error) {  // a folder that may not be read, say
    Fail(ErrorKind::kBadFile, "{}: {}", error.path1().string(), error.code().message());
  }
}

}  // namespace oxidized
