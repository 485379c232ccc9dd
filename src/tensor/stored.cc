#include "tensor/stored.h"

#include <cstring>

#include "base/error.h"
#include "tensor/float16.h"
#include "tensor/ggml_blocks.h"

namespace oxidized {
namespace {

BlockDecoder DecoderOf(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return [](const uint8_t* p, float* out) { std::memcpy(out, p, sizeof *out); };
    case DType::kF16:
      return [](const uint8_t* p, float* out) { *out = F16ToFloat(LoadUnaligned<uint16_t>(p)); };
    case DType::kBF16:
      return [](const uint8_t* p, float* out) { *out = Bf16ToFloat(LoadUnaligned<uint16_t>(p)); };
    default:
      return IsBlockType(dtype) ? GgmlBlockDecoder(dtype) : nullptr;
  }
}

}  // namespace

int64_t StoredBytes(DType dtype, int64_t n) {
  const StoredBlock block = BlockOf(dtype);
  OX_CHECK(n % block.elements == 0);
  return n / block.elements * block.bytes;
}

bool CanDecode(DType dtype) { return DecoderOf(dtype) != nullptr; }

void DecodeStored(DType dtype, const std::byte* data, int64_t n, float* out) {
  const BlockDecoder decode = DecoderOf(dtype);
  OX_CHECK(decode != nullptr);
  const StoredBlock block = BlockOf(dtype);
  OX_CHECK(n % block.elements == 0);
  const auto* bytes = reinterpret_cast<const uint8_t*>(data);
  for (int64_t i = 0; i < n; i += block.elements, bytes += block.bytes) decode(bytes, out + i);
}

}  // namespace oxidized
