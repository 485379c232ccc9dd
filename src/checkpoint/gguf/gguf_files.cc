#include "checkpoint/gguf/gguf_files.h"

#include <array>
#include <fstream>
#include <set>

#include "base/error.h"
#include "base/file_status.h"
#include "base/lfs_pointer.h"
#include "checkpoint/message_text.h"

namespace oxidized {
namespace {

namespace fs = std::filesystem;

// "<prefix>-00002-of-00003.gguf"
struct ShardName {
  std::string prefix;
  int number, count;  // 1 to count
};

std::optional<ShardName> ParseShardName(const std::string& name) {
  constexpr std::string_view kForm = "-00000-of-00000.gguf";  // each 0 stands for a digit
  if (name.size() < kForm.size()) return std::nullopt;
  const size_t begin = name.size() - kForm.size();
  std::array<int, 2> numbers{};
  for (size_t i = 0, digits = 0; i < kForm.size(); ++i) {
    const char c = name[begin + i];
    if (kForm[i] != '0') {
      if (c != kForm[i]) return std::nullopt;
      continue;
    }
    if (c < '0' || c > '9') return std::nullopt;
    int& number = numbers[digits++ / 5];
    number = number * 10 + (c - '0');
  }
  if (numbers[0] < 1 || numbers[0] > numbers[1]) return std::nullopt;
  return ShardName{name.substr(0, begin), numbers[0], numbers[1]};
}

fs::path ShardPath(const fs::path& folder, const ShardName& shard, int number) {
  return folder / fmt::format("{}-{:05}-of-{:05}.gguf", shard.prefix, number, shard.count);
}

std::vector<fs::path> ShardPaths(const fs::path& path) {
  const std::optional<ShardName> shard = ParseShardName(path.filename().string());
  if (!shard || shard->count == 1) return {path};
  std::vector<fs::path> paths;
  for (int number = 1; number <= shard->count; ++number) {
    paths.push_back(ShardPath(path.parent_path(), *shard, number));
    if (!fs::exists(paths.back())) {
      Fail(ErrorKind::kBadFile, "{}: missing: the model has {} files, and all must be there",
           paths.back().string(), shard->count);
    }
  }
  return paths;
}

// split.no (from 0) and split.count of a shard. Files that were renamed by hand may have neither.
void CheckSplit(const Gguf& gguf, const char* key, int64_t expected, const std::string& path) {
  const GgufValue* value = gguf.Find(key);
  if (value == nullptr) return;
  const std::optional<int64_t> found = value->is_array ? std::nullopt : GgufInteger(*value, 0);
  if (!found) Fail(ErrorKind::kBadFile, "{}: {} is not an integer", path, key);
  if (found == expected || (expected == 1 && found == 0)) return;  // a count of 0: never split
  Fail(ErrorKind::kBadFile, "{}: {} is {}, expected {} of a file of this name", path, key, *found, expected);
}

}  // namespace

GgufFiles OpenGgufFiles(const fs::path& path) {
  const std::vector<fs::path> paths = ShardPaths(path);
  GgufFiles model;
  for (size_t i = 0; i < paths.size(); ++i) {
    const std::string name = paths[i].string();
    model.files.push_back(MappedFile::Open(paths[i]));
    RefuseLfsPointer(model.files.back().bytes(), paths[i]);
    model.headers.push_back(ParseGguf(model.files.back().bytes(), name));
    Gguf& header = model.headers.back();
    CheckSplit(header, "split.no", static_cast<int64_t>(i), name);
    CheckSplit(header, "split.count", static_cast<int64_t>(paths.size()), name);
    for (GgufTensor& tensor : header.tensors) {
      const std::string_view tensor_name = tensor.name;
      const auto [other, is_new] = model.tensors.try_emplace(tensor_name, GgufFiles::Tensor{});
      if (!is_new) {
        Fail(ErrorKind::kBadFile, "{}: tensor {} is also in {}", name, Quoted(tensor_name),
             model.files[other->second.file].path().filename().string());
      }
      other->second = {std::move(tensor), i};
    }
    header.tensors.clear();
  }
  return model;
}

bool IsGguf(const fs::path& file) {
  std::error_code ignored;
  if (!fs::is_regular_file(file, ignored)) return false;  // opening a named pipe would wait for its writer
  std::array<char, kGgufMagic.size()> start{};
  std::ifstream in(file, std::ios::binary);
  in.read(start.data(), start.size());
  return in && std::string_view(start.data(), start.size()) == kGgufMagic;
}

std::optional<fs::path> FindGguf(const fs::path& folder) {
  std::set<fs::path> found;
  std::error_code ignored;
  for (const fs::path& place : {folder, folder / "blobs"}) {
    for (const auto& entry : fs::directory_iterator(place, ignored)) {
      const std::string name = entry.path().filename().string();
      const bool blob = name.starts_with("sha256-");
      if ((!blob && entry.path().extension() != ".gguf") || IsFolder(entry.path()) || !IsFile(entry.path()))
        continue;
      if (blob && !IsGguf(entry.path())) continue;
      const std::optional<ShardName> shard = ParseShardName(name);
      found.insert(shard ? ShardPath(place, *shard, 1) : entry.path());
    }
  }
  if (found.empty()) return std::nullopt;
  if (found.size() > 1) {
    Fail(ErrorKind::kBadFile, "{}: {} GGUF models: name one of them, {} for instance", folder.string(),
         found.size(), found.begin()->string());
  }
  return *found.begin();
}

}  // namespace oxidized
