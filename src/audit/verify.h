// Reads every byte of a checkpoint and says what is wrong with it: values that are not numbers, scales that
// make no sense, a tokenizer that does not fit, files whose SHA-256 is not the one they should have. Opening
// checks names, shapes and types (checkpoint.h); this checks values. A file of packed dense weights is
// verified by itself, without its model. Called by the `verify` command.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace oxidized {

struct VerifyOptions {
  std::filesystem::path path;
  int threads = 2;
  size_t most_problems = 40;  // listed; all are counted
  std::function<void(int64_t done_bytes, int64_t total_bytes)>
      progress;  // of files read; one thread at a time
};

struct VerifiedFile {
  std::string name;
  int64_t bytes = 0;
  std::string sha256;
  // The digest the file should have and who says so: the name of its blob in a Hugging Face cache (SHA-256 of
  // large files, git's SHA-1 of small ones), or SHA256SUMS beside it. Empty: unknown.
  std::string expected, expected_by;
  bool matches = true;
};

struct VerifyReport {
  std::string path;
  std::string format;  // empty: it could not be opened
  int64_t tensors = 0;
  int64_t values = 0;  // looked at
  std::vector<VerifiedFile> files;
  std::vector<std::string> problems;  // a line each, VerifyOptions::most_problems at most
  int64_t problem_count = 0;
  std::vector<std::string> notes;

  bool sound() const { return problem_count == 0; }
};

// Problems with the checkpoint are reported, also when it cannot be opened; throws Error(kBadFile) only when
// there is nothing to read, and Interrupted.
VerifyReport VerifyCheckpoint(const VerifyOptions& options);

std::string VerifyText(const VerifyReport& report);
// {path, format, sound, tensors, values, files:[{name, bytes, sha256, expected?, expected_by?, matches}],
// problems:[text], problem_count, notes:[text]}
std::string VerifyJson(const VerifyReport& report);

}  // namespace oxidized
