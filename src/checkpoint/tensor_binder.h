// Looks the tensors of a model up by name, checks their shapes and types, and makes views of them; collects
// what does not fit, so that one message can show the pattern of the damage. Nothing is copied, no value is
// read. Used by hf_weights and original_weights.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/model_files.h"
#include "model/weights.h"

namespace oxidized {

// The tensors of an expert map in one layer: either blocks and scales, or plain values.
struct ExpertNames {
  std::string blocks, scales;  // [E, rows, cols/32, 16] and [E, rows, cols/32], U8
  std::string values;          // of `plain` layout
  ExpertLayout plain;          // kTransposed [E, cols, rows] or kRows [E, rows, cols]
  std::string bias;            // [E, rows]
};

class TensorBinder {
 public:
  using Shape = std::vector<int64_t>;

  // `source` stands for the model in messages; `files` must outlive the binder.
  TensorBinder(const ModelFiles& files, std::string source);

  bool Has(const std::string& name) const { return files_.tensors.contains(name); }

  // Empty views, and a problem noted, unless the tensor exists with this shape as BF16, F16 or F32.
  VectorView Vector(const std::string& name, int64_t size);
  MatrixView Matrix(const std::string& name, int64_t rows, int64_t cols);
  // [E] maps of cols to rows, or none and a problem noted. `mxfp4`: which form is missed when neither is
  // there.
  std::vector<ExpertView> Experts(const ExpertNames& names, int64_t num_experts, int64_t rows, int64_t cols,
                                  bool mxfp4);

  // For what a format finds wrong by itself: one clause, "\"norm.scale\" is ...".
  void AddProblem(std::string text);

  // Throws Error(kBadFile) listing the first problems.
  void ThrowIfBroken() const;
  // Tensors that were never asked for give one warning line.
  void WarnOfUnused() const;

 private:
  const ModelFiles::Tensor* Find(const std::string& name, const Shape& shape);
  const ModelFiles::Tensor* Floats(const std::string& name, const Shape& shape);
  const ModelFiles::Tensor* Bytes(const std::string& name, const Shape& shape);

  const ModelFiles& files_;
  const std::string source_;
  std::set<std::string_view> used_;
  std::vector<std::string> problems_;  // the first few
  size_t problem_count_ = 0;
  std::string first_missing_;
};

// Rows [begin, begin + rows) of a matrix or vector; an empty view stays one.
MatrixView RowsOf(const MatrixView& matrix, int64_t begin, int64_t rows);
VectorView RowsOf(const VectorView& vector, int64_t begin, int64_t rows);

}  // namespace oxidized
