#include "checkpoint/expected_digest.h"

#include <fmt/core.h>

#include <sstream>

#include "base/sha256.h"
#include "checkpoint/json_file.h"

namespace oxidized {
namespace {

namespace fs = std::filesystem;

// Of lines "hash  name" or "hash *name"; others are passed over.
std::string SumOf(const fs::path& file) {
  const fs::path sums = file.parent_path() / "SHA256SUMS";
  if (!fs::is_regular_file(sums)) return "";
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

// The name of the blob that a snapshot's link leads to: blobs/<digest>.
std::string BlobName(const fs::path& file) {
  std::error_code error;
  const fs::path target = fs::is_symlink(file, error) ? fs::canonical(file, error) : fs::path();
  if (error || target.parent_path().filename() != "blobs") return "";
  const std::string name = target.filename().string();
  return IsSha256Hex(name) || IsSha1Hex(name) ? name : "";
}

}  // namespace

ExpectedDigest ExpectedDigestOf(const fs::path& file) {
  if (std::string blob = BlobName(file); !blob.empty()) return {std::move(blob), "the Hugging Face cache"};
  if (std::string sum = SumOf(file); !sum.empty()) return {std::move(sum), "SHA256SUMS"};
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
