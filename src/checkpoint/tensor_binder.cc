#include "checkpoint/tensor_binder.h"

#include "base/error.h"
#include "checkpoint/message_text.h"
#include "tensor/mxfp4.h"

namespace oxidized {

TensorBinder::TensorBinder(const ModelFiles& files, std::string source)
    : files_(files), missed_(std::move(source)) {}

const ModelFiles::Tensor* TensorBinder::Find(const std::string& name, const Shape& shape) {
  const auto found = files_.tensors.find(name);
  if (found == files_.tensors.end()) {
    missed_.Add(fmt::format("{} is missing", Quoted(name)));
    if (first_missing_.empty()) first_missing_ = name;
    return nullptr;
  }
  missed_.Use(found->first);
  if (found->second.entry.shape == shape) return &found->second;
  missed_.Add(fmt::format("{} has shape {}, expected {}", Quoted(name), ShapeText(found->second.entry.shape),
                          ShapeText(shape)));
  return nullptr;
}

const ModelFiles::Tensor* TensorBinder::Floats(const std::string& name, const Shape& shape) {
  const ModelFiles::Tensor* tensor = Find(name, shape);
  if (tensor == nullptr) return nullptr;
  const DType dtype = tensor->entry.dtype;
  if (dtype == DType::kBF16 || dtype == DType::kF16 || dtype == DType::kF32) return tensor;
  missed_.Add(fmt::format("{} is {}, expected BF16, F16 or F32", Quoted(name), Name(dtype)));
  return nullptr;
}

const ModelFiles::Tensor* TensorBinder::Bytes(const std::string& name, const Shape& shape) {
  const ModelFiles::Tensor* tensor = Find(name, shape);
  if (tensor == nullptr || tensor->entry.dtype == DType::kU8) return tensor;
  missed_.Add(fmt::format("{} is {}, expected U8", Quoted(name), Name(tensor->entry.dtype)));
  return nullptr;
}

VectorView TensorBinder::Vector(const std::string& name, int64_t size) {
  const auto* tensor = Floats(name, {size});
  return tensor == nullptr ? VectorView{} : VectorView{files_.Data(*tensor), tensor->entry.dtype, size};
}

MatrixView TensorBinder::Matrix(const std::string& name, int64_t rows, int64_t cols) {
  const auto* tensor = Floats(name, {rows, cols});
  return tensor == nullptr ? MatrixView{} : MatrixView{files_.Data(*tensor), tensor->entry.dtype, rows, cols};
}

// The vector of E experts is made only once the files have proved to hold them.
std::vector<ExpertView> TensorBinder::Experts(const ExpertNames& names, int64_t num_experts, int64_t rows,
                                              int64_t cols, bool mxfp4) {
  const int64_t groups = cols / kMxfp4BlockElements;
  ExpertView first;
  first.rows = rows;
  first.cols = cols;
  if (Has(names.blocks) && Has(names.values)) {
    AddProblem(
        fmt::format("{} and {} are both there: one expert map in two forms, and nothing says which is meant",
                    Quoted(names.blocks), Quoted(names.values)));
    missed_.Use(files_.tensors.find(names.values)->first);
  }
  mxfp4 = Has(names.blocks) || (mxfp4 && !Has(names.values));
  const ModelFiles::Tensor* values = nullptr;
  const ModelFiles::Tensor* scales = nullptr;
  if (mxfp4) {
    first.layout = ExpertLayout::kMxfp4;
    values = Bytes(names.blocks, {num_experts, rows, groups, kMxfp4BlockBytes});
    scales = Bytes(names.scales, {num_experts, rows, groups});
  } else {
    first.layout = names.plain;
    values = Floats(names.values, names.plain == ExpertLayout::kTransposed ? Shape{num_experts, cols, rows}
                                                                           : Shape{num_experts, rows, cols});
  }
  const auto* bias = Floats(names.bias, {num_experts, rows});
  if (values == nullptr || bias == nullptr || (mxfp4 && scales == nullptr)) return {};

  first.dtype = values->entry.dtype;
  const int64_t value_bytes = (values->entry.end - values->entry.begin) / num_experts;
  const VectorView biases{files_.Data(*bias), bias->entry.dtype, num_experts * rows};
  std::vector<ExpertView> experts(static_cast<size_t>(num_experts), first);
  for (int64_t e = 0; e < num_experts; ++e) {
    ExpertView& expert = experts[static_cast<size_t>(e)];
    expert.values = files_.Data(*values) + e * value_bytes;
    if (mxfp4) expert.scales = files_.Data(*scales) + e * rows * groups;
    expert.bias = RowsOf(biases, e * rows, rows);
  }
  return experts;
}

void TensorBinder::ThrowIfBroken() const {
  // torch.compile leaves "_orig_mod.", wrappers for several GPUs leave "module.".
  std::string note;
  if (const size_t dot = first_missing_.find('.');
      dot != std::string::npos) {  // names cut at their first part
    const std::string rest = first_missing_.substr(dot + 1);
    if (files_.tensors.contains(rest))
      note = fmt::format("; there is {}: names lack their prefix, {}", Quoted(rest),
                         Quoted(first_missing_.substr(0, dot + 1)));
  }
  for (const auto& [name, tensor] : files_.tensors) {
    if (first_missing_.empty() || !name.ends_with("." + first_missing_)) continue;
    note =
        fmt::format("; there is {}: names have a prefix, {}, that a wrapper left: save the model without it",
                    Quoted(name), Quoted(name.substr(0, name.size() - first_missing_.size())));
    break;
  }
  missed_.ThrowIfAny(note);
}

MatrixView RowsOf(const MatrixView& matrix, int64_t begin, int64_t rows) {
  if (matrix.data == nullptr) return {};
  return {matrix.data + begin * matrix.row_bytes(), matrix.dtype, rows, matrix.cols};
}

VectorView RowsOf(const VectorView& vector, int64_t begin, int64_t rows) {
  if (vector.data == nullptr) return {};
  return {vector.data + begin * Bits(vector.dtype) / 8, vector.dtype, rows};
}

}  // namespace oxidized
