#include "model/weights.h"

#include <cstring>

#include "tensor/float16.h"
#include "tensor/mxfp4.h"

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

void ExpertView::DecodeRow(int64_t r, float* out) const {
  if (layout == ExpertLayout::kTransposed) {
    const VectorView all{values, dtype, rows * cols};
    for (int64_t c = 0; c < cols; ++c) out[c] = all[c * rows + r];
    return;
  }
  const int64_t groups = cols / kMxfp4BlockElements;
  const auto* blocks = reinterpret_cast<const uint8_t*>(values) + r * groups * kMxfp4BlockBytes;
  const auto* scale = reinterpret_cast<const uint8_t*>(scales) + r * groups;
  for (int64_t g = 0; g < groups; ++g) {
    DecodeMxfp4Block(blocks + g * kMxfp4BlockBytes, scale[g], out + g * kMxfp4BlockElements);
  }
}

int64_t ExpertView::bytes() const {
  const int64_t weights = layout == ExpertLayout::kMxfp4 ? rows * cols / 2 + rows * cols / kMxfp4BlockElements
                                                         : rows * cols * Bits(dtype) / 8;
  return weights + bias.size * Bits(bias.dtype) / 8;
}

}  // namespace oxidized
