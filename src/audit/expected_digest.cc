#include "audit/expected_digest.h"

#include <fmt/core.h>

#include <sstream>
#include <string_view>

#include "base/file_status.h"
#include "base/sha256.h"
#include "checkpoint/json_file.h"

namespace oxidized {
namespace {

namespace fs = std::filesystem;

// Of lines "hash  name" or "hash *name"; others are passed over.
std::string SumOf(const fs::path& file) {
  const fs::path sums = file.parent_path() / "SHA256SUMS";
  if (!IsFile(sums)) return "";
  std::istringstream lines(ReadSmallFile(sums));
  for (std::string line; std::getline(lines, line);) {
    if (line.ends_with('\r')) line.pop_back();
    const size_t space = line.find(' ');
    if (space == std::string::npos || space + 2 > line.size() || !IsSha256Hex(line.substr(0, space)))
      continue;
    std::string name = line.substr(space + 2);
    if (name.starts_with("./")) name.erase(0, 2);
    if (name == file.filename()) return line.substr(0, space);
  }
  return "";
}

// What a blob's own name says: blobs/<digest> of a Hugging Face cache, blobs/sha256-<digest> of Ollama's
// store.
ExpectedDigest OfBlob(const fs::path& file) {
  constexpr std::string_view kOllama = "sha256-";
  std::error_code error;
  const fs::path blob = fs::canonical(file, error);  // a snapshot holds links to blobs
  if (error || blob.parent_path().filename() != "blobs") return {};
  const std::string name = blob.filename().string();
  if (IsSha256Hex(name) || IsSha1Hex(name))
    return {name, "the Hugging Face cache", fmt::format("delete {} and pull the model again", blob.string())};
  if (name.starts_with(kOllama) && IsSha256Hex(name.substr(kOllama.size()))) {
    return {name.substr(kOllama.size()), "the blob's name in Ollama's store",
            fmt::format("delete {} and let ollama pull the model again", blob.string())};
  }
  return {};
}

}  // namespace

ExpectedDigest ExpectedDigestOf(const fs::path& file) {
  if (ExpectedDigest blob = OfBlob(file); !blob.hex.empty()) return blob;
  if (std::string sum = SumOf(file); !sum.empty())
    return {std::move(sum), "SHA256SUMS", "fetch or copy the file again"};
  return {};
}

std::string GitBlobName(const fs::path& file) {
  const std::string content = ReadSmallFile(file, size_t{64} << 20);
  Digest digest(Digest::Algorithm::kSha1);
  digest.Update(fmt::format("blob {}", content.size()) + std::string(1, '\0'));
  digest.Update(content);
  return digest.FinishHex();
}

}  // namespace oxidized
