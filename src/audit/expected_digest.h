// What the digest of a model's file should be, where somebody says so. Called by verify.
#pragma once

#include <filesystem>
#include <string>

namespace oxidized {

struct ExpectedDigest {
  std::string hex;     // SHA-256, or 40 digits: git's name of the file (GitBlobName); empty: nobody says
  std::string by;      // "SHA256SUMS"
  std::string remedy;  // what to do when it is another
};

// Of a blob that is called by its digest (blobs/<digest> of a Hugging Face cache, also through a snapshot's
// link; blobs/sha256-<digest> of Ollama), else of a SHA256SUMS beside it.
// Throws Error(kBadFile).
ExpectedDigest ExpectedDigestOf(const std::filesystem::path& file);

// What git calls a file of this content: the hub's name of small files. Throws Error(kBadFile).
std::string GitBlobName(const std::filesystem::path& file);

}  // namespace oxidized
