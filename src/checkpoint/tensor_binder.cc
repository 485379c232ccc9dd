#include "checkpoint/tensor_binder.h"

#include "base/error.h"
#include "base/log.h"
#include "base/printable.h"
#include "checkpoint/message_text.h"
#include "tensor/mxfp4.h"

namespace oxidized {

TensorBinder::TensorBinder(const ModelFiles& files, std::string source)
    : files_(files), source_(std::move(source)) {}

const ModelFiles::Tensor* TensorBinder::Find(const std::string& name, const Shape& shape) {
  const auto found = files_.tensors.find(name);
  if (found == files_.tensors.end()) {
    AddProblem(fmt::format("{} is missing", Quoted(name)));
    if (first_missing_.empty()) first_missing_ = name;
    return nullptr;
  }
  used_.insert(found->first);
  if (found->second.entry.shape == shape) return &found->second;
  AddProblem(fmt::format("{} has shape {}, expected {}", Quoted(name), ShapeText(found->second.entry.shape),
                         ShapeText(shape)));
  return nullptr;
}

const ModelFiles::Tensor* TensorBinder::Floats(const std::string& name, const Shape& shape) {
  const ModelFiles::Tensor* tensor = Find(name, shape);
  if (tensor == nullptr) return nullptr;
  const DType dtype = tensor->entry.dtype;
  if (dtype == DType::kBF16 || dtype == DType::kF16 || dtype == DType::kF32) return tensor;
  AddProblem(fmt::format("{} is {}, expected BF16, F16 or F32", Quoted(name), Name(dtype)));
  return nullptr;
}

const ModelFiles::Tensor* TensorBinder::Bytes(const std::string& name, const Shape& shape) {
  const ModelFiles::Tensor* tensor = Find(name, shape);
  if (tensor == nullptr || tensor->entry.dtype == DType::kU8) return tensor;
  AddProblem(fmt::format("{} is {}, expected U8", Quoted(name), Name(tensor->entry.dtype)));
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
    used_.insert(files_.tensors.find(names.values)->first);
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

void TensorBinder::AddProblem(std::string text) {
  constexpr size_t kShown = 4;
  if (problem_count_++ < kShown) problems_.push_back(std::move(text));
}

void TensorBinder::ThrowIfBroken() const {
  if (problem_count_ == 0) return;
  std::string message = source_ + ": ";
  for (size_t i = 0; i < problems_.size(); ++i) message += (i == 0 ? "" : "; ") + problems_[i];
  if (problem_count_ > problems_.size()) {
    message += fmt::format("; and {} more tensors that do not fit", problem_count_ - problems_.size());
  }
  // torch.compile leaves "_orig_mod.", wrappers for several GPUs leave "module.".
  for (const auto& [name, tensor] : files_.tensors) {
    if (first_missing_.empty() || !name.ends_with("." + first_missing_)) continue;
    message +=
        fmt::format("; there is {}: names have a prefix, {}, that a wrapper left: save the model without it",
                    Quoted(name), Quoted(name.substr(0, name.size() - first_missing_.size())));
    break;
  }
  throw Error(ErrorKind::kBadFile, message);
}

void TensorBinder::WarnOfUnused() const {
  std::vector<std::string> unused;
  for (const auto& [name, tensor] : files_.tensors) {
    if (!used_.contains(name)) unused.push_back(name);
  }
  if (unused.empty()) return;
  Log(LogLevel::kWarning, "{}: {} ignored, no part of gpt-oss, the first {}", source_,
      Counted(std::ssize(unused), "tensor"), Quoted(unused.front()));
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
