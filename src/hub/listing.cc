#include "hub/listing.h"

#include <simdjson.h>

#include <set>
#include <unordered_set>

#include "base/error.h"
#include "base/sha256.h"
#include "hub/text.h"

namespace oxidized::hub {
namespace {

using simdjson::dom::element;
using simdjson::dom::object;

constexpr size_t kMaxDepth = 16;
constexpr int64_t kMaxFileBytes = int64_t{1} << 50;
constexpr size_t kMaxFiles = 100000;

// Owns the parsed document.
class Document {
 public:
  // Throws Error(kNetwork).
  Document(std::string_view text, const std::string& name) {
    if (text.size() > kMaxListingBytes)
      Fail(ErrorKind::kNetwork, "{}: longer than {} bytes", name, kMaxListingBytes);
    if (text.empty())
      Fail(ErrorKind::kNetwork, "{}: not valid JSON: {}", name, simdjson::error_message(simdjson::EMPTY));
    simdjson::error_code error = parser_.allocate(std::max(text.size(), size_t{64}), kMaxDepth);
    if (!error) error = parser_.parse(text.data(), text.size(), /*realloc_if_needed=*/true).get(root_);
    if (error == simdjson::MEMALLOC) throw std::bad_alloc();
    if (error) Fail(ErrorKind::kNetwork, "{}: not valid JSON: {}", name, simdjson::error_message(error));
  }
  element root() const { return root_; }

 private:
  simdjson::dom::parser parser_{kMaxListingBytes + 64};
  element root_;
};

// The value of `key` in `from`, when it is there and of that type.
template <typename T>
bool Get(const object& from, const char* key, T& value) {
  return from[key].get(value) == simdjson::SUCCESS;
}

int64_t SizeOf(const object& from, const std::string& name, std::string_view path) {
  int64_t size = -1;
  if (!Get(from, "size", size) || size < 0 || size > kMaxFileBytes)
    Fail(ErrorKind::kNetwork, "{}: the size of {} is not one that a file can have", name, Quoted(path));
  return size;
}

RepoFile ParseFile(const object& entry, const std::string& name) {
  RepoFile file;
  std::string_view path, hash;
  if (!Get(entry, "rfilename", path))
    Fail(ErrorKind::kNetwork, "{}: a file without a name (rfilename)", name);
  if (!IsPlainRelativePath(path))
    Fail(ErrorKind::kNetwork, "{}: {} is not a name that a file of a repository can have", name,
         Quoted(path));
  file.path = path;
  object lfs;
  if (Get(entry, "lfs", lfs)) {
    file.size_bytes = SizeOf(lfs, name, path);
    if (!Get(lfs, "sha256", hash) || !IsSha256Hex(hash))
      Fail(ErrorKind::kNetwork, "{}: {} has {} where its SHA-256 is expected", name, Quoted(path),
           Quoted(hash));
  } else {
    file.size_bytes = SizeOf(entry, name, path);
    if (Get(entry, "blobId", hash) && !IsSha1Hex(hash))
      Fail(ErrorKind::kNetwork, "{}: {} has {} where git's SHA-1 is expected", name, Quoted(path),
           Quoted(hash));
  }
  file.hash = hash;
  return file;
}

}  // namespace

RepoListing ParseListing(std::string_view text, const std::string& name) {
  const Document document(text, name);
  object root;
  simdjson::dom::array siblings;
  std::string_view commit;
  if (document.root().get(root)) Fail(ErrorKind::kNetwork, "{}: expected a JSON object", name);
  if (!Get(root, "sha", commit) || !IsSha1Hex(commit))
    Fail(ErrorKind::kNetwork, "{}: no commit (sha): is this a hub?", name);
  if (!Get(root, "siblings", siblings)) Fail(ErrorKind::kNetwork, "{}: no list of files (siblings)", name);

  RepoListing listing;
  listing.commit = commit;
  std::unordered_set<std::string> seen;
  for (const element entry : siblings) {
    object fields;
    if (entry.get(fields)) Fail(ErrorKind::kNetwork, "{}: a file that is not a JSON object", name);
    if (listing.files.size() == kMaxFiles)
      Fail(ErrorKind::kNetwork, "{}: more than {} files", name, kMaxFiles);
    listing.files.push_back(ParseFile(fields, name));
    if (!seen.insert(listing.files.back().path).second)
      Fail(ErrorKind::kNetwork, "{}: {} appears twice", name, Quoted(listing.files.back().path));
  }
  // A file that is also the folder of another could not be stored.
  for (const RepoFile& file : listing.files) {
    for (size_t slash = file.path.find('/'); slash != file.path.npos;
         slash = file.path.find('/', slash + 1)) {
      if (seen.contains(file.path.substr(0, slash)))
        Fail(ErrorKind::kNetwork, "{}: {} is a file and a folder", name, Quoted(file.path.substr(0, slash)));
    }
  }
  return listing;
}

std::vector<std::string> FilesOfIndex(std::string_view text) {
  std::set<std::string> files;
  try {
    const Document document(text, "index");
    object root, map;
    if (document.root().get(root) || !Get(root, "weight_map", map)) return {};
    for (const auto& [tensor, value] : map) {
      std::string_view file;
      if (value.get(file) || !IsPlainRelativePath(file)) return {};
      files.emplace(file);
    }
  } catch (const Error&) {
    return {};
  }
  return {files.begin(), files.end()};
}

}  // namespace oxidized::hub
