#include "tensor/ggml_blocks.h"

#include "base/error.h"
#include "tensor/float16.h"
#include "tensor/mxfp4.h"

namespace oxidized {
namespace {

float LoadF16(const uint8_t* at) { return F16ToFloat(LoadUnaligned<uint16_t>(at)); }

void DecodeQ8_0(const uint8_t* block, float* out) {
  const float d = LoadF16(block);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(static_cast<int8_t>(block[2 + i]));
}

// The types of 32 elements in 16 bytes of nibbles: byte j holds element j low and element j + 16 high.
// value(i, nibble) is element i.
template <typename Value>
void DecodeNibbles(const uint8_t* nibbles, float* out, const Value& value) {
  for (int j = 0; j < 16; ++j) {
    out[j] = value(j, nibbles[j] & 15);
    out[j + 16] = value(j + 16, nibbles[j] >> 4);
  }
}

void DecodeQ4_0(const uint8_t* block, float* out) {
  const float d = LoadF16(block);
  DecodeNibbles(block + 2, out, [&](int, int q) { return d * static_cast<float>(q - 8); });
}

void DecodeQ4_1(const uint8_t* block, float* out) {
  const float d = LoadF16(block), m = LoadF16(block + 2);
  DecodeNibbles(block + 4, out, [&](int, int q) { return d * static_cast<float>(q) + m; });
}

void DecodeQ5_0(const uint8_t* block, float* out) {
  const float d = LoadF16(block);
  const auto high = LoadUnaligned<uint32_t>(block + 2);  // bit i belongs to element i
  DecodeNibbles(block + 6, out, [&](int i, int q) {
    return d * static_cast<float>((q | static_cast<int>(high >> i & 1) << 4) - 16);
  });
}

void DecodeQ5_1(const uint8_t* block, float* out) {
  const float d = LoadF16(block), m = LoadF16(block + 2);
  const auto high = LoadUnaligned<uint32_t>(block + 4);
  DecodeNibbles(block + 8, out, [&](int i, int q) {
    return d * static_cast<float>(q | static_cast<int>(high >> i & 1) << 4) + m;
  });
}

void DecodeIq4Nl(const uint8_t* block, float* out) {
  constexpr float kValues[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
  const float d = LoadF16(block);
  DecodeNibbles(block + 2, out, [&](int, int q) { return d * kValues[q]; });
}

// Scale and minimum of sub-block i (0 to 7) of Q4_K and Q5_K: 6 bits each, packed in 12 bytes.
struct ScaleMin {
  int scale, min;
};
ScaleMin UnpackScaleMin(const uint8_t* s, int i) {
  if (i < 4) return {s[i] & 63, s[i + 4] & 63};
  return {(s[i + 4] & 15) | (s[i - 4] >> 6) << 4, (s[i + 4] >> 4) | (s[i] >> 6) << 4};
}

// Q4_K and Q5_K: 8 sub-blocks of 32. Bytes 32c..32c+31 of the nibbles hold sub-block 2c low, 2c + 1 high; bit
// i of high[l], if there is one, is the fifth bit of element l of sub-block i.
void DecodeScaleMinBlocks(const uint8_t* block, const uint8_t* high, const uint8_t* nibbles, float* out) {
  const float d = LoadF16(block), dmin = LoadF16(block + 2);
  for (int i = 0; i < 8; ++i) {
    const ScaleMin packed = UnpackScaleMin(block + 4, i);
    const float scale = d * static_cast<float>(packed.scale), min = dmin * static_cast<float>(packed.min);
    for (int l = 0; l < 32; ++l) {
      int q = nibbles[i / 2 * 32 + l] >> i % 2 * 4 & 15;
      if (high != nullptr) q |= (high[l] >> i & 1) << 4;
      out[32 * i + l] = scale * static_cast<float>(q) - min;
    }
  }
}

void DecodeQ4K(const uint8_t* block, float* out) { DecodeScaleMinBlocks(block, nullptr, block + 16, out); }
void DecodeQ5K(const uint8_t* block, float* out) { DecodeScaleMinBlocks(block, block + 16, block + 48, out); }

// Two halves of 128, each of four groups of 32: low nibbles of 64 bytes, then their high nibbles, with two
// more bits of each element in 32 bytes; one signed scale for 16 elements.
void DecodeQ6K(const uint8_t* block, float* out) {
  const float d = LoadF16(block + 208);
  for (int half = 0; half < 2; ++half) {
    const uint8_t* low = block + 64 * half;
    const uint8_t* high = block + 128 + 32 * half;
    const uint8_t* scales = block + 192 + 8 * half;
    for (int e = 0; e < 128; ++e) {
      const int group = e / 32, l = e % 32;
      const int q = (low[e % 64] >> group / 2 * 4 & 15) | (high[l] >> 2 * group & 3) << 4;
      const float scale = d * static_cast<float>(static_cast<int8_t>(scales[e / 16]));
      out[128 * half + e] = scale * static_cast<float>(q - 32);
    }
  }
}

}  // namespace

BlockDecoder GgmlBlockDecoder(DType dtype) {
  switch (dtype) {
    case DType::kGgmlMxfp4:
      return [](const uint8_t* block, float* out) { DecodeGgmlMxfp4Block(block + 1, block[0], out); };
    case DType::kQ8_0:
      return DecodeQ8_0;
    case DType::kQ4_0:
      return DecodeQ4_0;
    case DType::kQ4_1:
      return DecodeQ4_1;
    case DType::kQ5_0:
      return DecodeQ5_0;
    case DType::kQ5_1:
      return DecodeQ5_1;
    case DType::kIq4Nl:
      return DecodeIq4Nl;
    case DType::kQ4K:
      return DecodeQ4K;
    case DType::kQ5K:
      return DecodeQ5K;
    case DType::kQ6K:
      return DecodeQ6K;
    default:
      OX_CHECK(false);
      return nullptr;
  }
}

}  // namespace oxidized
