#include "rewrite/tensor_encoder.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "tensor/encode.h"
#include "tensor/float16.h"
#include "tensor/mxfp4.h"
#include "tensor/stored.h"

namespace oxidized {
namespace {

constexpr int64_t kMostAtOnce = 1 << 14;  // values held as f32; a multiple of every block

void Compare(const float* before, const float* after, int64_t n, const LayoutTensor& tensor,
             RoundingError& error) {
  for (int64_t i = 0; i < n; ++i) {
    const auto value = static_cast<double>(before[i]);
    const double difference = std::fabs(static_cast<double>(after[i]) - value);
    if (std::isfinite(before[i]) && !std::isfinite(after[i])) {
      Fail(ErrorKind::kUnsupported, "{}: the value {} is too large for {}", tensor.spec.name, before[i],
           Name(tensor.spec.dtype));
    }
    if (difference > 0.0) ++error.changed;
    if (difference > error.max_abs) {
      error.max_abs = difference;
      error.worst = tensor.spec.name;
    }
    if (std::isfinite(value)) {
      error.squared_error += difference * difference;
      error.squared_values += value * value;
    }
  }
  error.values += n;
}

void RequireFinite(const float* values, int64_t n, const LayoutTensor& tensor, const char* type) {
  for (int64_t i = 0; i < n; ++i) {
    if (std::isfinite(values[i])) continue;
    Fail(ErrorKind::kUnsupported, "{}: holds {}, which {} cannot: `verify` lists such values",
         tensor.spec.name, values[i], type);
  }
}

// f32 holds every value of the types that are read.
bool IsExact(DType from, DType to) { return to == from || to == DType::kF32; }

// n values from one stored type to another.
void Reencode(DType from, const std::byte* data, int64_t n, const LayoutTensor& tensor, std::byte* out,
              RoundingError& error) {
  const DType to = tensor.spec.dtype;
  if (from == to) {
    std::memcpy(out, data, static_cast<size_t>(StoredBytes(to, n)));
    return;
  }
  std::vector<float> values(static_cast<size_t>(std::min(n, kMostAtOnce))), rounded(values.size());
  while (n > 0) {
    const int64_t some = std::min(n, kMostAtOnce);
    DecodeStored(from, data, some, values.data());
    if (to == DType::kQ8_0) RequireFinite(values.data(), some, tensor, "Q8_0");
    EncodeStored(to, values.data(), some, out);
    if (!IsExact(from, to)) {
      DecodeStored(to, out, some, rounded.data());
      Compare(values.data(), rounded.data(), some, tensor, error);
    }
    data += StoredBytes(from, some);
    out += StoredBytes(to, some);
    n -= some;
  }
}

// One row of MXFP4 in the order of safetensors: 16 bytes and a scale for each of `groups` blocks.
struct Mxfp4Row {
  std::vector<uint8_t> blocks, scales;
};

// `piece`: kBlocks or kScales leave the other one alone.
void TakeMxfp4Row(const ExpertView& view, int64_t row, ExpertPiece piece, Mxfp4Row& out) {
  const auto groups = static_cast<size_t>(view.cols / kMxfp4BlockElements);
  out.blocks.resize(groups * kMxfp4BlockBytes);
  out.scales.resize(groups);
  const auto* values = reinterpret_cast<const uint8_t*>(view.values);
  if (LayoutRow(view.layout).scales == ScalePlace::kOwnMatrix) {
    const size_t first = static_cast<size_t>(row) * groups;
    if (piece != ExpertPiece::kScales)
      std::memcpy(out.blocks.data(), values + first * kMxfp4BlockBytes, out.blocks.size());
    if (piece != ExpertPiece::kBlocks)
      std::memcpy(out.scales.data(), reinterpret_cast<const uint8_t*>(view.scales) + first, groups);
    return;
  }
  if (view.up_values != nullptr) {
    if (row % 2 != 0) values = reinterpret_cast<const uint8_t*>(view.up_values);
    row /= 2;
  }
  OX_CHECK(LayoutRow(view.layout).scales == ScalePlace::kBeforeBlock);
  const uint8_t* stored = values + static_cast<size_t>(row) * groups * (kMxfp4BlockBytes + 1);
  for (size_t g = 0; g < groups; ++g, stored += kMxfp4BlockBytes + 1) {
    out.scales[g] = stored[0];
    Mxfp4FromOrder(LayoutRow(view.layout).nibbles, reinterpret_cast<const std::byte*>(stored + 1),
                   reinterpret_cast<std::byte*>(out.blocks.data() + g * kMxfp4BlockBytes));
  }
}

// Blocks and scales that lie in two tensors are made twice; the error is counted with the blocks.
void QuantiseRow(const float* values, int64_t cols, const LayoutTensor& tensor, Mxfp4Row& out,
                 RoundingError& error) {
  RequireFinite(values, cols, tensor, "MXFP4");
  const auto groups = static_cast<size_t>(cols / kMxfp4BlockElements);
  out.blocks.resize(groups * kMxfp4BlockBytes);
  out.scales.resize(groups);
  for (size_t g = 0; g < groups; ++g) {
    uint8_t* block = out.blocks.data() + g * kMxfp4BlockBytes;
    const float* from = values + g * kMxfp4BlockElements;
    out.scales[g] = EncodeMxfp4Block(from, block);
    if (tensor.piece == ExpertPiece::kScales) continue;
    float rounded[kMxfp4BlockElements];
    DecodeMxfp4Block(block, out.scales[g], rounded);
    Compare(from, rounded, kMxfp4BlockElements, tensor, error);
  }
}

void StoreMxfp4Row(const Mxfp4Row& row, ExpertPiece piece, std::byte* out) {
  if (piece == ExpertPiece::kBlocks) {
    std::memcpy(out, row.blocks.data(), row.blocks.size());
  } else if (piece == ExpertPiece::kScales) {
    std::memcpy(out, row.scales.data(), row.scales.size());
  } else {
    auto* stored = reinterpret_cast<uint8_t*>(out);
    for (size_t g = 0; g < row.scales.size(); ++g, stored += kMxfp4BlockBytes + 1) {
      stored[0] = row.scales[g];
      Mxfp4ToGgmlOrder(row.blocks.data() + g * kMxfp4BlockBytes, stored + 1);
    }
  }
}

// Rows of an expert's matrix as f32, by tiles: in the transposed layout neighbouring rows lie beside each
// other, and a row by itself would touch a cache line for each of its values.
class RowDecoder {
 public:
  const float* Row(const ExpertView& view, int64_t row, int64_t end) {
    if (view.layout != ExpertLayout::kTransposed) {
      values_.resize(static_cast<size_t>(view.cols));
      view.DecodeRow(row, values_.data());
      return values_.data();
    }
    if (row < first_ || row >= last_) Load(view, row, std::min(end, row + kTile));
    return values_.data() + (row - first_) * view.cols;
  }

 private:
  static constexpr int64_t kTile = 32;
  void Load(const ExpertView& view, int64_t first, int64_t last) {
    first_ = first;
    last_ = last;
    const int64_t count = last - first;
    values_.resize(static_cast<size_t>(count * view.cols));
    const int64_t value_bytes = BlockOf(view.dtype).bytes;
    float column[kTile];
    for (int64_t c = 0; c < view.cols; ++c) {
      DecodeStored(view.dtype, view.values + (c * view.rows + first) * value_bytes, count, column);
      for (int64_t r = 0; r < count; ++r) values_[static_cast<size_t>(r * view.cols + c)] = column[r];
    }
  }
  std::vector<float> values_;
  int64_t first_ = 0, last_ = 0;
};

}  // namespace

double RoundingError::RelativeRms() const {
  return squared_values > 0.0 ? std::sqrt(squared_error / squared_values) : 0.0;
}

void RoundingError::Add(const RoundingError& other) {
  values += other.values;
  changed += other.changed;
  squared_error += other.squared_error;
  squared_values += other.squared_values;
  // By name where equal: the report must not depend on which thread came first.
  if (other.max_abs > max_abs || (other.max_abs == max_abs && other.worst < worst)) {
    max_abs = other.max_abs;
    worst = other.worst;
  }
}

TensorEncoder::TensorEncoder(const WeightSource& source, std::vector<LayoutTensor> layout)
    : source_(source), layout_(std::move(layout)) {
  for (const LayoutTensor& tensor : layout_) by_name_.emplace(tensor.spec.name, &tensor);
}

void TensorEncoder::Fill(const std::string& name, int64_t offset, std::span<std::byte> out) {
  const LayoutTensor& tensor = *by_name_.find(name)->second;
  const auto bytes = static_cast<int64_t>(out.size());
  OX_CHECK(offset % tensor.row_bytes == 0 && bytes % tensor.row_bytes == 0);
  const int64_t first = offset / tensor.row_bytes;
  const int64_t count = bytes / tensor.row_bytes;
  RoundingError error;
  const bool dense = tensor.piece == ExpertPiece::kNone;
  if (dense) {
    FillDense(tensor, first, count, out.data(), error);
  } else {
    FillExperts(tensor, first, count, out.data(), error);
  }
  const std::lock_guard lock(mutex_);
  (dense || tensor.piece == ExpertPiece::kBias ? dense_error_ : expert_error_).Add(error);
}

void TensorEncoder::FillDense(const LayoutTensor& tensor, int64_t first, int64_t count, std::byte* out,
                              RoundingError& error) const {
  WeightSource::Scratch scratch;
  for (const Part part : tensor.parts) {
    const PartShape shape = ShapeOf(source_.config(), part, tensor.layer);
    const int64_t some = std::min(count, shape.rows - first);
    if (some <= 0) {
      first -= shape.rows;
      continue;
    }
    const MatrixView rows = source_.Rows(part, tensor.layer, first, some, scratch);
    Reencode(rows.dtype, rows.data, some * shape.cols, tensor, out, error);
    out += some * tensor.row_bytes;
    count -= some;
    first = 0;
    if (count == 0) return;
  }
}

void TensorEncoder::FillExperts(const LayoutTensor& tensor, int64_t first, int64_t count, std::byte* out,
                                RoundingError& error) const {
  const Part part = tensor.parts.front();
  const int64_t stride = tensor.rows == ExpertRows::kAll ? 1 : 2;
  const int64_t begin = tensor.rows == ExpertRows::kOdd ? 1 : 0;
  const int64_t rows = ShapeOf(source_.config(), part, tensor.layer).rows / stride;  // of one expert
  const DType to = tensor.spec.dtype;
  const bool to_mxfp4 =
      tensor.piece == ExpertPiece::kBlocks || tensor.piece == ExpertPiece::kScales || to == DType::kGgmlMxfp4;
  WeightSource::Scratch scratch;
  Mxfp4Row packed;
  while (count > 0) {
    const auto expert = static_cast<int32_t>(first / rows);
    const int64_t row = first % rows;
    const int64_t some = std::min(count, rows - row);
    const int64_t source_row = row * stride + begin;
    const auto [view, base] = source_.Expert(part, tensor.layer, expert, source_row, (some - 1) * stride + 1,
                                             tensor.piece, scratch);
    if (tensor.piece == ExpertPiece::kBias) {
      std::vector<float> biases(static_cast<size_t>(some));
      for (int64_t i = 0; i < some; ++i)
        biases[static_cast<size_t>(i)] = view.bias_at(source_row - base + i * stride);
      RoundingError exact;  // bias_at widens: what was of this type comes back as it was
      Reencode(DType::kF32, reinterpret_cast<const std::byte*>(biases.data()), some, tensor, out,
               view.bias.dtype == to ? exact : error);
      out += some * tensor.row_bytes;
      first += some;
      count -= some;
      continue;
    }
    RowDecoder decoder;
    for (int64_t r = source_row - base; r < source_row - base + some * stride; r += stride) {
      if (to_mxfp4) {
        if (IsMxfp4(view.layout)) {
          TakeMxfp4Row(view, r, tensor.piece, packed);
        } else {
          QuantiseRow(decoder.Row(view, r, view.rows), view.cols, tensor, packed, error);
        }
        StoreMxfp4Row(packed, tensor.piece, out);
      } else {
        const float* values = decoder.Row(view, r, view.rows);
        Reencode(DType::kF32, reinterpret_cast<const std::byte*>(values), view.cols, tensor, out, error);
      }
      out += tensor.row_bytes;
    }
    first += some;
    count -= some;
  }
}

RoundingError TensorEncoder::dense_error() const {
  const std::lock_guard lock(mutex_);
  return dense_error_;
}
RoundingError TensorEncoder::expert_error() const {
  const std::lock_guard lock(mutex_);
  return expert_error_;
}

}  // namespace oxidized
