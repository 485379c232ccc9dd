#include "checkpoint/locate.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/file_status.h"
#include "base/lfs_pointer.h"
#include "base/mapped_file.h"
#include "checkpoint/gguf/gguf_files.h"
#include "checkpoint/hf/safetensors.h"
#include "checkpoint/json_file.h"
#include "checkpoint/message_text.h"
#include "checkpoint/model_files.h"
#include "checkpoint/original/original_config.h"
#include "checkpoint/refusals.h"

namespace oxidized {
namespace {

namespace fs = std::filesystem;

// A folder with a config.json.
Location WithConfig(const fs::path& folder) {
  const fs::path path = folder / "config.json";
  const bool original = IsOriginalConfig(ReadSmallFile(path, kMaxSmallJsonBytes), path.string());
  return {original ? CheckpointFormat::kOriginal : CheckpointFormat::kHuggingFace, folder, {}, {}, {folder}};
}

Location OfGguf(const fs::path& file) {
  const fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
  return {CheckpointFormat::kGguf, folder, {}, file, {folder}};
}

// The snapshot of a model's entry in the Hugging Face cache: what refs/main names, or the only one.
std::optional<fs::path> CacheSnapshot(const fs::path& folder) {
  if (!IsFolder(folder / "snapshots")) return std::nullopt;
  std::set<std::string> names;
  for (const fs::path& entry : EntriesOf(folder / "snapshots")) {
    if (IsFolder(entry)) names.insert(entry.filename().string());
  }
  if (names.empty()) {
    Fail(ErrorKind::kBadFile, "{}: no model below snapshots/: the download is not complete", folder.string());
  }
  if (names.size() == 1) return folder / "snapshots" / *names.begin();
  if (IsFile(folder / "refs/main")) {
    constexpr size_t kMostRefBytes = 256;
    const std::string main = ReadSmallFile(folder / "refs/main", kMostRefBytes);
    const std::string name = main.substr(0, main.find_first_of(" \t\r\n"));
    if (names.contains(name)) return folder / "snapshots" / name;
  }
  Fail(ErrorKind::kBadFile, "{}: {} snapshots, and refs/main names none of them: name one, {} for example",
       folder.string(), names.size(), Quoted("snapshots/" + *names.begin()));
}

bool HasSafetensors(const fs::path& folder) {
  const std::vector<fs::path> entries = EntriesOf(folder);
  return std::any_of(entries.begin(), entries.end(),
                     [](const fs::path& entry) { return entry.extension() == ".safetensors"; });
}

Location LocateFolder(const fs::path& folder, bool cache_entry) {
  // Publishers of GGUF files leave the config.json beside them that they converted from.
  const bool config = IsThere(folder / "config.json");
  if (config && (HasSafetensors(folder) || !FindGguf(folder))) return WithConfig(folder);
  if (cache_entry) {
    if (const auto snapshot = CacheSnapshot(folder)) return LocateFolder(*snapshot, /*cache_entry=*/false);
  }
  if (const auto gguf = FindGguf(folder)) return OfGguf(*gguf);
  if (IsThere(folder / "original/config.json")) {
    Location location = WithConfig(folder / "original");
    location.tokenizer_folders.push_back(folder);
    return location;
  }
  RefuseFolder(folder);
}

// A file that lies beside the weights and belongs to the model as much as they do.
bool IsCompanion(const fs::path& path) {
  const std::string name = path.filename().string();
  for (const char* known : {"tokenizer.json", "tokenizer_config.json", "generation_config.json",
                            "special_tokens_map.json", "chat_template.jinja"}) {
    if (name == known) return true;
  }
  return name == kIndexFileName || name == "dtypes.json" || path.extension() == ".tiktoken";
}

Location LocateFile(const fs::path& path) {
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  const std::string name = path.filename().string();
  if (name == "config.json") return WithConfig(folder);
  if (IsCompanion(path)) {
    const bool model = IsThere(folder / "config.json") || IsThere(folder / "original/config.json");
    if (model) return LocateFolder(folder, /*cache_entry=*/false);
    if (name == kIndexFileName || name == "dtypes.json") RefuseFolder(folder);
  }
  if (path.extension() == ".gguf" || IsGguf(path)) return OfGguf(path);
  if (path.extension() != ".safetensors") RefuseFile(path);
  if (!IsThere(folder / "config.json")) {
    // A file that is itself damaged is to blame before what is missing beside it.
    const MappedFile file = MappedFile::Open(path);
    RefuseLfsPointer(file.bytes(), path);
    ParseSafetensors(file.bytes(), path.string());
    RefuseFolder(folder);
  }
  Location location = WithConfig(folder);
  if (location.format == CheckpointFormat::kHuggingFace) location.only = name;
  return location;
}

}  // namespace

Location LocateCheckpoint(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) {
    Fail(ErrorKind::kBadFile,
         "{}: no such file or folder: expected a gpt-oss checkpoint (synth makes one of random weights)",
         path.string());
  }
  if (error) Fail(ErrorKind::kBadFile, "{}: {}", path.string(), error.message());
  if (!fs::is_directory(status) && !fs::is_regular_file(status)) {  // opening a named pipe would wait
    Fail(ErrorKind::kBadFile, "{}: neither a file nor a folder, expected a gpt-oss checkpoint",
         path.string());
  }
  return fs::is_directory(status) ? LocateFolder(path, /*cache_entry=*/true) : LocateFile(path);
}

std::vector<fs::path> FilesOfModel(const fs::path& path) {
  // Of a cache entry the files are three levels down (snapshots/COMMIT/original); links may go round.
  constexpr int kDeepest = 3;
  constexpr auto kOptions =
      fs::directory_options::skip_permission_denied | fs::directory_options::follow_directory_symlink;
  std::vector<fs::path> files;
  std::error_code error;
  const bool folder = fs::is_directory(path, error);
  const fs::path beside = path.has_parent_path() ? path.parent_path() : fs::path(".");
  fs::recursive_directory_iterator entry(folder ? path : beside, kOptions, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    std::error_code none;
    if (entry->is_directory(none)) {
      if (!folder || entry.depth() == kDeepest) entry.disable_recursion_pending();
      continue;
    }
    const fs::path& file = entry->path();
    if (folder || file.filename() == path.filename() || file.extension() == path.extension() ||
        file.filename() == "config.json" || IsCompanion(file))
      files.push_back(file);
  }
  return files;
}

}  // namespace oxidized
