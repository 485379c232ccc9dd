#include "checkpoint/checkpoint.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "base/error.h"
#include "checkpoint/gguf_checkpoint.h"
#include "checkpoint/gguf_files.h"
#include "checkpoint/hf_config.h"
#include "checkpoint/hf_weights.h"
#include "checkpoint/json_file.h"
#include "checkpoint/model_files.h"

namespace oxidized {
namespace {

namespace fs = std::filesystem;

// Formats known by the first bytes of a file (docs/weights.md).
struct Magic {
  std::string_view bytes;
  const char* format;
};
constexpr Magic kMagics[] = {{"GPT-OSS v1.0", "a Metal model.bin"}};

[[noreturn]] void NotYet(const fs::path& path, const std::string& what) {
  Fail(ErrorKind::kUnsupported,
       "{}: {} is not yet supported; use the Hugging Face folder with config.json and .safetensors files",
       path.string(), what);
}

struct Location {
  fs::path folder;
  std::optional<std::string> only;  // the .safetensors file that was named
};

Location LocateFile(const fs::path& path) {
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  const std::string name = path.filename().string();
  if (name == "config.json" || name == kIndexFileName) return {folder, std::nullopt};
  {
    const MappedFile file = MappedFile::Open(path);
    const std::string_view start(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
    for (const Magic& magic : kMagics) {
      if (start.starts_with(magic.bytes)) NotYet(path, magic.format);
    }
  }
  if (path.extension() == ".safetensors") return {folder, name};
  Fail(ErrorKind::kBadFile,
       "{}: not a model: expected a folder with config.json, or a .safetensors file beside it",
       path.string());
}

// A folder without a usable config.json: says which known kind of folder it is.
[[noreturn]] void RefuseFolder(const fs::path& folder) {
  if (fs::exists(folder / "adapter_config.json")) {
    NotYet(folder, "a LoRA adapter without its base model (adapter_config.json)");
  }
  if (fs::exists(folder / "dtypes.json"))
    NotYet(folder, "OpenAI's original/ checkpoint layout (dtypes.json)");
  if (fs::exists(folder / "model.bin")) NotYet(folder, "a Metal model.bin");
  for (const char* below : {"original", "metal"}) {
    if (fs::exists(folder / below)) NotYet(folder / below, fmt::format("the {}/ layout", below));
  }
  if (fs::is_directory(folder / "snapshots")) {
    Fail(ErrorKind::kBadFile, "{}: the top of a Hugging Face cache entry: name a folder below its snapshots/",
         folder.string());
  }
  Fail(ErrorKind::kBadFile, "{}: no config.json: expected the folder of a Hugging Face gpt-oss checkpoint",
       folder.string());
}

Location Locate(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) {
    Fail(ErrorKind::kBadFile,
         "{}: no such file or folder: expected the folder of a Hugging Face gpt-oss checkpoint (synth makes "
         "one of "
         "random weights)",
         path.string());
  }
  if (error) Fail(ErrorKind::kBadFile, "{}: {}", path.string(), error.message());
  if (!fs::is_directory(status)) return LocateFile(path);
  return {path, std::nullopt};
}

// The GGUF file that `path` names or, unless a config.json there says otherwise, holds.
std::optional<fs::path> LocateGguf(const fs::path& path) {
  std::error_code ignored;
  if (fs::is_regular_file(path, ignored)) {
    if (path.extension() == ".gguf" || IsGguf(path)) return path;
    return std::nullopt;
  }
  if (!fs::is_directory(path, ignored) || fs::exists(path / "config.json")) return std::nullopt;
  return FindGguf(path);
}

std::vector<fs::path> TokenizerFiles(const fs::path& folder) {
  std::vector<fs::path> found;
  if (fs::is_regular_file(folder / "tokenizer.json")) found.push_back(folder / "tokenizer.json");
  std::vector<fs::path> ranks;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    if (entry.path().extension() == ".tiktoken") ranks.push_back(entry.path());
  }
  std::sort(ranks.begin(), ranks.end());
  found.insert(found.end(), ranks.begin(), ranks.end());
  return found;
}

const char* FormatName(const HfWeights& weights) {
  if (!weights.transposed) return "Hugging Face safetensors, MXFP4 experts";
  return weights.mxfp4 ? "Hugging Face safetensors, MXFP4 and dequantised experts"
                       : "Hugging Face safetensors, dequantised experts";
}

Checkpoint OpenHf(const fs::path& path, const OpenOptions& options) {
  const Location location = Locate(path);
  const fs::path config_path = location.folder / "config.json";
  if (!fs::exists(config_path)) RefuseFolder(location.folder);
  HfConfig config = ParseHfConfig(ReadSmallFile(config_path, kMaxSmallJsonBytes), config_path.string());
  const fs::path generation_path = location.folder / "generation_config.json";
  if (fs::exists(generation_path)) {
    AddGenerationConfig(ReadSmallFile(generation_path, kMaxSmallJsonBytes), generation_path.string(),
                        config.model);
  }

  ModelFiles files = OpenModelFiles(location.folder, location.only, options.mode);
  HfWeights weights = BindHfWeights(config, files, path.string());

  Checkpoint checkpoint;
  checkpoint.config = std::move(config.model);
  checkpoint.format = FormatName(weights);
  checkpoint.weights = std::move(weights.view);
  checkpoint.path = path;
  checkpoint.tokenizer_candidates = TokenizerFiles(location.folder);
  for (const auto& [name, tensor] : files.tensors) {
    const SafetensorsEntry& entry = tensor.entry;
    checkpoint.tensors.push_back({name, entry.dtype, entry.shape, entry.end - entry.begin,
                                  files.files[tensor.file].path().filename().string()});
  }
  checkpoint.files = std::move(files.files);
  return checkpoint;
}

}  // namespace

Checkpoint OpenCheckpoint(const fs::path& path, const OpenOptions& options) {
  try {
    if (const std::optional<fs::path> gguf = LocateGguf(path)) {
      Checkpoint checkpoint = OpenGguf(*gguf, options);
      checkpoint.tokenizer_candidates = TokenizerFiles(gguf->has_parent_path() ? gguf->parent_path() : ".");
      return checkpoint;
    }
    return OpenHf(path, options);
  } catch (const fs::filesystem_error& error) {  // a folder that may not be read, say
    Fail(ErrorKind::kBadFile, "{}: {}", error.path1().string(), error.code().message());
  }
}

}  // namespace oxidized
