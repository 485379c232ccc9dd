// The file list of a repository, as the hub's API gives it. Parsing is a function of text alone, so that it
// can be tested and fuzzed without a network: whatever a server sends, names and sizes in a RepoListing are
// safe to use.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace oxidized::hub {

// A file's content has a name: the SHA-256 of what git LFS (or Xet) stores, or git's own SHA-1 of
// "blob LENGTH\0" and the bytes. The cache calls the blob by it.
struct RepoFile {
  std::string path;  // IsPlainRelativePath
  int64_t size_bytes = 0;
  std::string hash;  // 64 or 40 lower-case hexadecimal digits; empty: the hub did not say

  bool hash_is_sha256() const { return hash.size() == 64; }
};

struct RepoListing {
  std::string commit;  // 40 lower-case hexadecimal digits
  std::vector<RepoFile> files;
};

inline constexpr size_t kMaxListingBytes = 32u << 20;

// The answer to /api/models/ID/revision/REVISION?blobs=true. `name` stands for it in messages. Throws
// Error(kNetwork): not JSON, nested deeper than 16, a name that leaves the folder or appears twice, a size
// that is not a size, a hash that is not a hash.
RepoListing ParseListing(std::string_view text, const std::string& name);

// The files that a model.safetensors.index.json names, sorted, each once. nullopt-like: empty when the text
// is no such index, or it names what is not a plain file name (opening the model will say so).
std::vector<std::string> FilesOfIndex(std::string_view text);

}  // namespace oxidized::hub
