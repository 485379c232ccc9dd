#include "checkpoint/model_files.h"

#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/file_status.h"
#include "base/lfs_pointer.h"
#include "base/log.h"
#include "base/printable.h"
#include "checkpoint/json_file.h"
#include "checkpoint/message_text.h"
#include "checkpoint/refusals.h"

namespace oxidized {
namespace {

namespace fs = std::filesystem;

bool IsPlainFileName(const std::string& name) {
  return !name.empty() && name.size() <= 255 && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
}

std::set<std::string> SafetensorsIn(const fs::path& folder) {
  std::set<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    // Hidden files are other programs' (._model.safetensors is macOS's).
    if (entry.path().extension() == ".safetensors" && !name.starts_with('.')) names.insert(name);
  }
  if (error) Fail(ErrorKind::kBadFile, "{}: {}", folder.string(), error.message());
  return names;
}

constexpr const char* kSingleFileName = "model.safetensors";

// The index of a folder, unless `whole`, a model.safetensors that it does not name, lies there too: that one
// is opened then, as transformers does, and what the index says is nobody's business.
std::optional<SafetensorsIndex> IndexBeside(const fs::path& path, bool whole) {
  const auto read = [&] { return ParseSafetensorsIndex(ReadSmallFile(path), path.string()); };
  if (!whole) return read();
  try {
    SafetensorsIndex index = read();
    for (const auto& [tensor, file] : index.file_of_tensor) {
      if (file == kSingleFileName) return index;
    }
  } catch (const Error& error) {
    Log(LogLevel::kWarning, "{}", error.what());
  }
  Log(LogLevel::kWarning, "{}: not used: {} is there too and is the model; remove the one that is not meant",
      path.string(), kSingleFileName);
  return std::nullopt;
}

// The one file of a folder without an index.
std::string SingleFile(const fs::path& folder) {
  const std::set<std::string> names = SafetensorsIn(folder);
  if (names.contains(kSingleFileName)) return kSingleFileName;
  if (names.empty()) RefuseWithoutWeights(folder);
  if (names.size() > 1) {
    Fail(ErrorKind::kBadFile, "{}: {} .safetensors files but no {} that says which tensor lies where",
         folder.string(), names.size(), kIndexFileName);
  }
  return *names.begin();
}

void AddFile(const fs::path& path, ModelFiles& model) {
  model.files.push_back(MappedFile::Open(path));
  const size_t file = model.files.size() - 1;
  RefuseLfsPointer(model.files[file].bytes(), path);
  for (SafetensorsEntry& entry : ParseSafetensors(model.files[file].bytes(), path.string())) {
    const auto [other, is_new] = model.tensors.try_emplace(entry.name, ModelFiles::Tensor{});
    if (!is_new) {
      Fail(ErrorKind::kBadFile, "{}: tensor {} is also in {}", path.string(), Quoted(entry.name),
           model.files[other->second.file].path().filename().string());
    }
    other->second = {std::move(entry), file};
  }
}

void CheckAgainstIndex(const fs::path& folder, const SafetensorsIndex& index, const ModelFiles& model) {
  for (const auto& [tensor, file] : index.file_of_tensor) {
    const auto found = model.tensors.find(tensor);
    if (found == model.tensors.end()) {
      Fail(ErrorKind::kBadFile, "{}: lacks tensor {}, which {} places there", (folder / file).string(),
           Quoted(tensor), kIndexFileName);
    }
    const std::string actual = model.files[found->second.file].path().filename().string();
    if (actual != file) {
      Fail(ErrorKind::kBadFile, "{}: holds tensor {}, which {} places in {}", (folder / actual).string(),
           Quoted(tensor), kIndexFileName, Quoted(file));
    }
  }
  if (!index.total_bytes) return;
  int64_t total = 0;
  for (const auto& [name, tensor] : model.tensors) total += tensor.entry.end - tensor.entry.begin;
  if (total != *index.total_bytes) {
    Log(LogLevel::kWarning, "{}: total_size is {}, but the tensors have {}",
        (folder / kIndexFileName).string(), *index.total_bytes, Counted(total, "byte"));
  }
}

}  // namespace

SafetensorsIndex ParseSafetensorsIndex(std::string_view json, const std::string& name) {
  const nlohmann::json parsed = ParseSmallJson(json, name);
  const auto map = parsed.find("weight_map");
  if (map == parsed.end() || !map->is_object() || map->empty()) {
    Fail(ErrorKind::kBadFile, "{}: weight_map is missing, empty or not an object", name);
  }
  SafetensorsIndex index;
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string())
      Fail(ErrorKind::kBadFile, "{}: the file of tensor {} is not a string", name, Quoted(tensor));
    const auto& file_name = file.get_ref<const std::string&>();
    if (!IsPlainFileName(file_name)) {
      Fail(ErrorKind::kBadFile,
           "{}: tensor {} is said to lie in {}, expected the plain name of a file in this folder", name,
           Quoted(tensor), Quoted(file_name));
    }
    index.file_of_tensor.emplace(tensor, file_name);
  }
  // Only ever compared and reported, so a form nobody writes is passed over.
  if (const auto metadata = parsed.find("metadata"); metadata != parsed.end() && metadata->is_object()) {
    const auto total = metadata->find("total_size");
    if (total != metadata->end() && total->is_number_unsigned() &&
        total->get<uint64_t>() <= uint64_t{std::numeric_limits<int64_t>::max()}) {
      index.total_bytes = total->get<int64_t>();
    }
  }
  return index;
}

ModelFiles OpenModelFiles(const fs::path& folder, const std::optional<std::string>& only) {
  std::optional<SafetensorsIndex> index;
  const fs::path index_path = folder / kIndexFileName;
  const bool whole = !only && IsFile(folder / kSingleFileName);
  if (IsThere(index_path)) index = IndexBeside(index_path, whole);

  std::set<std::string> names;
  if (index) {
    for (const auto& [tensor, file] : index->file_of_tensor) names.insert(file);
    constexpr size_t kMostFiles = 4096;
    if (names.size() > kMostFiles) {
      Fail(ErrorKind::kBadFile, "{}: names {} files, expected at most {}", index_path.string(), names.size(),
           kMostFiles);
    }
    if (only && !names.contains(*only)) index.reset();
  }
  if (!index) names = {only ? *only : SingleFile(folder)};

  ModelFiles model;
  for (const std::string& name : names) {
    if (index && !IsThere(folder / name)) {
      Fail(ErrorKind::kBadFile,
           "{}: missing, but {} names it: the download is not complete: download it again",
           (folder / name).string(), kIndexFileName);
    }
    AddFile(folder / name, model);
  }
  if (index) CheckAgainstIndex(folder, *index, model);
  return model;
}

ModelFiles OpenAllModelFiles(const fs::path& folder) {
  const std::set<std::string> names = SafetensorsIn(folder);
  if (names.empty()) RefuseWithoutWeights(folder);
  ModelFiles model;
  for (const std::string& name : names) AddFile(folder / name, model);
  return model;
}

}  // namespace oxidized
