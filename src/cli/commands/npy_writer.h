// NumPy's .npy, version 1.0, of float32 rows [rows, cols] written one by one. The file appears under its name
// when it is whole.
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <span>

namespace oxidized::cli {

class NpyWriter {
 public:
  // Throws Error(kBadFile).
  NpyWriter(const std::filesystem::path& path, int64_t rows, int64_t cols);
  ~NpyWriter();  // an unfinished file is removed
  NpyWriter(const NpyWriter&) = delete;
  NpyWriter& operator=(const NpyWriter&) = delete;

  void Row(std::span<const float> values);
  void Finish();  // after the last row

 private:
  std::filesystem::path path_, partial_;
  std::FILE* file_ = nullptr;
  int64_t rows_left_, cols_;
};

}  // namespace oxidized::cli
