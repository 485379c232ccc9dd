// NumPy's .npy, version 1.0, of float32 rows [rows, cols] written one by one. The file appears under its name
// when it is whole.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/output_file.h"

namespace oxidized::cli {

// What tells such a file (base/output_file.h). The format leaves the order of its keys open, and NumPy writes
// another.
inline constexpr std::string_view kNpySign = "'fortran_order': False, 'descr': '<f4'";

class NpyWriter {
 public:
  // Throws like OutputFile, as all do.
  NpyWriter(const OutputName& name, int64_t rows, int64_t cols);

  void Row(std::span<const float> values);
  void Finish();  // after the last row

 private:
  OutputFile file_;
  int64_t rows_left_, cols_;
};

}  // namespace oxidized::cli
