#include "executor/cuda/matrix_upload.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "tensor/mxfp4.h"
#include "tensor/stored.h"

namespace oxidized::cuda {
namespace {

constexpr int64_t kPieceBytes = int64_t{64} << 20;

void Checked(const char* error) {
  if (error != nullptr) Fail(ErrorKind::kRequestFailed, "cuda: packing weights: {}", error);
}

bool IsElement(DType dtype) { return dtype == DType::kF32 || dtype == DType::kBF16 || dtype == DType::kF16; }
Source SourceOf(DType dtype) {
  return dtype == DType::kBF16 ? Source::kBf16 : dtype == DType::kF16 ? Source::kF16 : Source::kF32;
}
int64_t SourceBytes(Source type) { return type == Source::kF32 ? 4 : 2; }

// Row r of a matrix as `type`: its own bytes, or widened.
void WriteRow(const MatrixView& from, int64_t r, Source type, void* to) {
  if (IsElement(from.dtype) && SourceOf(from.dtype) == type)
    std::memcpy(to, from.data + r * from.row_bytes(), static_cast<size_t>(from.row_bytes()));
  else
    from.DecodeRow(r, static_cast<float*>(to));
}

}  // namespace

QkvRow QkvRowAt(const ModelConfig& c, int64_t r) {
  const int64_t q = c.query_width(), kv = c.kv_width(), d = c.head_dim;
  if (r >= q + kv) return {2, r - q - kv};
  const int64_t in_matrix = r < q ? r : r - q, within = in_matrix % d;
  return {r < q ? 0 : 1, in_matrix - within + within / 2 + within % 2 * (d / 2)};
}

uint8_t* MatrixUpload::Staged(const void* from, int64_t bytes, int64_t at) {
  if (staging_.bytes() < at + bytes) {
    OX_CHECK(at == 0);
    stream_.Wait();
    staging_ = DeviceMemory();
    staging_ = DeviceMemory(bytes);
  }
  stream_.ToDevice(staging_.data() + at, from, bytes);
  return staging_.data() + at;
}

void MatrixUpload::Table(const MatrixView& from, void* to) {
  if (IsElement(from.dtype)) return stream_.ToDevice(to, from.data, from.bytes());
  const int64_t row_bytes = from.cols * int64_t{sizeof(float)},
                rows = std::max<int64_t>(1, kPieceBytes / row_bytes);
  for (int64_t first = 0; first < from.rows; first += rows) {
    const int64_t n = std::min(rows, from.rows - first);
    host_.resize(static_cast<size_t>(n * row_bytes));
    for (int64_t r = 0; r < n; ++r)
      from.DecodeRow(first + r, reinterpret_cast<float*>(host_.data() + r * row_bytes));
    stream_.ToDevice(static_cast<uint8_t*>(to) + first * row_bytes, host_.data(), n * row_bytes);
  }
}

void MatrixUpload::Rows(const Matrix& to, int64_t rows, int64_t cols, Source type,
                        const std::function<void(int64_t, void*)>& write_row) {
  const int64_t row_bytes = cols * SourceBytes(type);
  const int64_t piece = std::max<int64_t>(1, kPieceBytes / row_bytes / kUnitRows) * kUnitRows;
  for (int64_t first = 0; first < rows; first += piece) {
    const int64_t n = std::min(piece, rows - first);
    host_.resize(static_cast<size_t>(n * row_bytes));
    for (int64_t r = 0; r < n; ++r) write_row(first + r, host_.data() + r * row_bytes);
    Checked(LaunchPack({.to = to,
                        .first_row = static_cast<int32_t>(first),
                        .rows = static_cast<int32_t>(n),
                        .cols = static_cast<int32_t>(cols),
                        .type = type,
                        .from = Staged(host_.data(), n * row_bytes)},
                       stream_.handle()));
  }
}

void MatrixUpload::Dense(const MatrixView& from, const Matrix& to) {
  if (!IsElement(from.dtype)) {
    return Rows(to, from.rows, from.cols, Source::kF32,
                [&](int64_t r, void* where) { WriteRow(from, r, Source::kF32, where); });
  }
  const int64_t piece = std::max<int64_t>(1, kPieceBytes / from.row_bytes() / kUnitRows) * kUnitRows;
  for (int64_t first = 0; first < from.rows; first += piece) {
    const int64_t n = std::min(piece, from.rows - first);
    Checked(LaunchPack({.to = to,
                        .first_row = static_cast<int32_t>(first),
                        .rows = static_cast<int32_t>(n),
                        .cols = static_cast<int32_t>(from.cols),
                        .type = SourceOf(from.dtype),
                        .from = Staged(from.data + first * from.row_bytes(), n * from.row_bytes())},
                       stream_.handle()));
  }
}

void MatrixUpload::Qkv(const ModelConfig& config, const LayerWeights& from, const Matrix& to) {
  const MatrixView* matrices[] = {&from.q, &from.k, &from.v};
  const DType first = from.q.dtype;
  const bool alike = IsElement(first) && from.k.dtype == first && from.v.dtype == first;
  const Source type = alike ? SourceOf(first) : Source::kF32;
  Rows(to, to.rows, config.hidden_size, type, [&](int64_t r, void* where) {
    const QkvRow row = QkvRowAt(config, r);
    WriteRow(*matrices[row.matrix], row.row, type, where);
  });
}

void MatrixUpload::Expert(const ExpertView& from, const Matrix& to) {
  if (to.form == Form::kMxfp4) return Codes(from, to);
  if (from.layout ==
      ExpertLayout::kTransposed) {  // a row of it is read across all of the matrix: once, not each
    std::vector<float> all(static_cast<size_t>(from.rows * from.cols));
    const VectorView stored{from.values, from.dtype, from.rows * from.cols};
    for (int64_t c = 0; c < from.cols; ++c) {
      for (int64_t r = 0; r < from.rows; ++r)
        all[static_cast<size_t>(r * from.cols + c)] = stored[c * from.rows + r];
    }
    return Rows(to, from.rows, from.cols, Source::kF32, [&](int64_t r, void* where) {
      std::memcpy(where, all.data() + r * from.cols, static_cast<size_t>(from.cols) * sizeof(float));
    });
  }
  Rows(to, from.rows, from.cols, Source::kF32,
       [&](int64_t r, void* where) { from.DecodeRow(r, static_cast<float*>(where)); });
}

void MatrixUpload::Codes(const ExpertView& from, const Matrix& to) {
  const int64_t blocks = from.cols / kMxfp4BlockElements, row_codes = blocks * kMxfp4BlockBytes;
  const int64_t all_codes = from.rows * row_codes, all_scales = from.rows * blocks;
  const std::byte *codes = from.values, *scales = from.scales;
  const ExpertLayoutRow& layout = LayoutRow(from.layout);
  if (layout.scales != ScalePlace::kOwnMatrix) {
    host_.resize(static_cast<size_t>(all_codes + all_scales));
    auto* codes_out = reinterpret_cast<std::byte*>(host_.data());
    std::byte* scales_out = codes_out + all_codes;
    for (int64_t r = 0; r < from.rows; ++r) {
      const bool apart = from.up_values != nullptr;
      const std::byte* values = apart && r % 2 == 1 ? from.up_values : from.values;
      const std::byte* row = values + (apart ? r / 2 : r) * blocks * (kMxfp4BlockBytes + 1);
      for (int64_t b = 0; b < blocks; ++b) {
        const std::byte* block = row + b * (kMxfp4BlockBytes + 1);
        scales_out[r * blocks + b] = block[0];
        Mxfp4FromOrder(layout.nibbles, block + 1, codes_out + r * row_codes + b * kMxfp4BlockBytes);
      }
    }
    codes = codes_out;
    scales = scales_out;
  }
  const int64_t scales_at = (all_codes + 255) / 256 * 256;
  if (staging_.bytes() < scales_at + all_scales) {
    stream_.Wait();
    staging_ = DeviceMemory();
    staging_ = DeviceMemory(scales_at + all_scales);
  }
  const uint8_t* codes_on_card = Staged(codes, all_codes);
  const uint8_t* scales_on_card = Staged(scales, all_scales, scales_at);
  Checked(LaunchPackCodes({.to = to,
                           .rows = static_cast<int32_t>(from.rows),
                           .cols = static_cast<int32_t>(from.cols),
                           .codes = codes_on_card,
                           .scales = scales_on_card},
                          stream_.handle()));
}

}  // namespace oxidized::cuda
