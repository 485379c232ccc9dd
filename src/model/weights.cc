#include "model/weights.h"

#include <cstring>

#include "tensor/float16.h"
#include "tensor/grouped_mxfp4.h"
#include "tensor/interleaved.h"
#include "tensor/mxfp4.h"
#include "tensor/stored.h"

namespace oxidized {

float VectorView::operator[](int64_t i) const {
  switch (dtype) {
    case DType::kF32:
      return LoadUnaligned<float>(data + i * 4);
    case DType::kF16:
      return F16ToFloat(LoadUnaligned<uint16_t>(data + i * 2));
    default:
      return Bf16ToFloat(LoadUnaligned<uint16_t>(data + i * 2));
  }
}

void VectorView::Decode(float* out) const {
  switch (dtype) {
    case DType::kF32:
      std::memcpy(out, data, static_cast<size_t>(size) * sizeof(float));
      break;
    case DType::kF16:
      for (int64_t i = 0; i < size; ++i) out[i] = F16ToFloat(LoadUnaligned<uint16_t>(data + i * 2));
      break;
    default:
      for (int64_t i = 0; i < size; ++i) out[i] = Bf16ToFloat(LoadUnaligned<uint16_t>(data + i * 2));
  }
}

VectorView MatrixView::row(int64_t r) const { return {data + r * cols * (Bits(dtype) / 8), dtype, cols}; }

int64_t MatrixView::row_bytes() const { return StoredBytes(dtype, cols); }

void MatrixView::DecodeRow(int64_t r, float* out) const {
  if (interleaved) {
    const int64_t blocks = cols / 32;
    DecodeInterleavedQ8Row(InterleavedQ8Panel(data, r / kInterleavedRows, blocks), r % kInterleavedRows,
                           blocks, out);
    return;
  }
  DecodeStored(dtype, data + r * row_bytes(), cols, out);
}

namespace {

// Where a row lies, once gate and up may be stored apart.
struct RowPlace {
  const std::byte* values;
  int64_t row;
};
RowPlace PlaceOf(const ExpertView& e, int64_t r) {
  if (e.up_values == nullptr) return {e.values, r};
  return {r % 2 == 0 ? e.values : e.up_values, r / 2};
}

int64_t RowBytes(const ExpertView& e) {
  if (IsMxfp4(e.layout)) return e.cols / kMxfp4BlockElements * (kMxfp4BlockBytes + 1);
  return StoredBytes(e.dtype, e.cols);
}

}  // namespace

void ExpertView::DecodeRow(int64_t r, float* out) const {
  if (layout == ExpertLayout::kTransposed) {
    const VectorView all{values, dtype, rows * cols};
    for (int64_t c = 0; c < cols; ++c) out[c] = all[c * rows + r];
    return;
  }
  const RowPlace place = PlaceOf(*this, r);
  if (layout == ExpertLayout::kRows) {
    DecodeStored(dtype, place.values + place.row * RowBytes(*this), cols, out);
    return;
  }
  const int64_t groups = cols / kMxfp4BlockElements;
  if (layout == ExpertLayout::kInterleavedMxfp4) {
    DecodeInterleavedMxfp4Row(
        InterleavedMxfp4Panel(place.values, scales, place.row / kInterleavedRows, groups),
        place.row % kInterleavedRows, groups, out);
    return;
  }
  if (layout == ExpertLayout::kGroupedMxfp4) {
    const std::byte* of_row =
        scales != nullptr ? scales + place.row * groups : place.values + place.row * RowBytes(*this);
    const std::byte* codes =
        scales != nullptr ? place.values + place.row * groups * kMxfp4BlockBytes : of_row + groups;
    return DecodeGroupedMxfp4Row(codes, of_row, groups, out);
  }
  const auto* bytes = reinterpret_cast<const uint8_t*>(place.values);
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t block = place.row * groups + g;
    float* values_out = out + g * kMxfp4BlockElements;
    if (LayoutRow(layout).scales == ScalePlace::kOwnMatrix) {
      DecodeMxfp4Block(bytes + block * kMxfp4BlockBytes, reinterpret_cast<const uint8_t*>(scales)[block],
                       values_out);
    } else {
      const uint8_t* stored = bytes + block * (kMxfp4BlockBytes + 1);
      const bool ggml = LayoutRow(layout).nibbles == NibbleOrder::kGgml;
      const auto decode = ggml ? DecodeGgmlMxfp4Block : DecodeMxfp4Block;
      decode(stored + 1, stored[0], values_out);
    }
  }
}

float ExpertView::bias_at(int64_t r) const {
  if (up_values == nullptr) return bias[r];
  return r % 2 == 0 ? bias[r / 2] : up_bias[r / 2];
}

int64_t ExpertView::value_bytes() const {
  const int64_t stored_rows = up_values == nullptr ? rows : rows / 2;
  if (scales != nullptr) return stored_rows * (cols / kMxfp4BlockElements) * kMxfp4BlockBytes;
  switch (layout) {
    case ExpertLayout::kTransposed:
      return StoredBytes(dtype, rows * cols);
    default:
      return stored_rows * RowBytes(*this);
  }
}

int64_t ExpertView::bytes() const {
  return rows * RowBytes(*this) + bias.size * Bits(bias.dtype) / 8 + up_bias.size * Bits(up_bias.dtype) / 8;
}

}  // namespace oxidized
