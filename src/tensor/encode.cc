#include "tensor/encode.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "tensor/float16.h"

namespace oxidized {
namespace {

constexpr int kQ8Elements = 32;

// In f32 throughout, as ggml does: the codes are those of the scale before it is rounded to f16.
void EncodeQ8_0(const float* values, std::byte* out) {
  float largest = 0.0f;
  for (int i = 0; i < kQ8Elements; ++i) largest = std::max(largest, std::fabs(values[i]));
  const float scale = largest / 127.0f;
  const float inverse = scale != 0.0f ? 1.0f / scale : 0.0f;
  const uint16_t stored_scale = FloatToF16(scale);
  std::memcpy(out, &stored_scale, sizeof(stored_scale));
  for (int i = 0; i < kQ8Elements; ++i) {
    out[sizeof(stored_scale) + static_cast<size_t>(i)] =
        static_cast<std::byte>(static_cast<int8_t>(std::round(values[i] * inverse)));
  }
}

}  // namespace

bool CanEncode(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kBF16 || dtype == DType::kF16 || dtype == DType::kQ8_0;
}

void EncodeStored(DType dtype, const float* values, int64_t n, std::byte* out) {
  OX_CHECK(CanEncode(dtype) && n % BlockOf(dtype).elements == 0);
  if (dtype == DType::kF32) {
    std::memcpy(out, values, static_cast<size_t>(n) * sizeof(float));
  } else if (dtype == DType::kQ8_0) {
    for (int64_t i = 0; i < n; i += kQ8Elements, out += BlockOf(dtype).bytes) EncodeQ8_0(values + i, out);
  } else {
    const auto narrow = dtype == DType::kBF16 ? FloatToBf16 : FloatToF16;
    for (int64_t i = 0; i < n; ++i, out += sizeof(uint16_t)) {
      const uint16_t bits = narrow(values[i]);
      std::memcpy(out, &bits, sizeof(bits));
    }
  }
}

}  // namespace oxidized
