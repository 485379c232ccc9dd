// Matrices from where they are stored to units on the card: brought over as they are, or row by row as one of
// the types that the packing kernels read, and packed there.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/runtime/runtime.h"
#include "model/weights.h"

namespace oxidized::cuda {

// Row r of the matrix of queries, keys and values: 0, 1, 2 and its row there. The rows of a head of q and k
// are taken in pairs i, i + D/2, which the rotation turns together.
struct QkvRow {
  int matrix;
  int64_t row;
};
QkvRow QkvRowAt(const ModelConfig& config, int64_t r);

class MatrixUpload {
 public:
  explicit MatrixUpload(Stream& stream) : stream_(stream) {}

  void Table(const MatrixView& from, void* to);  // row-major, as TableType says
  void Dense(const MatrixView& from, const Matrix& to);
  void Qkv(const ModelConfig& config, const LayerWeights& from, const Matrix& to);
  void Expert(const ExpertView& from, const Matrix& to);

 private:
  // `rows` rows, each written by write_row(r, where) as `type`.
  void Rows(const Matrix& to, int64_t rows, int64_t cols, Source type,
            const std::function<void(int64_t r, void* where)>& write_row);
  void Codes(const ExpertView& from, const Matrix& to);
  uint8_t* Staged(const void* from, int64_t bytes, int64_t at = 0);

  Stream& stream_;
  DeviceMemory staging_;  // the stream's order lets every matrix have the same
  std::vector<uint8_t> host_;
};

}  // namespace oxidized::cuda
