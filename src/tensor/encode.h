// Narrowing of f32 values to the stored types that checkpoints are written in: the counterpart of stored.h.
// The scalar truth; used by the conversion of checkpoints.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace oxidized {

// Whether EncodeStored knows the type: F32, BF16, F16 and Q8_0.
bool CanEncode(DType dtype);

// out[0 .. StoredBytes(dtype, n)) = the values, rounded to nearest (even); n a multiple of the type's block.
// Q8_0 as ggml's quantize_row_q8_0_ref: per block of 32 a scale max|x| / 127 stored as f16, and
// round(x / scale), halves away from zero; its values must be finite.
void EncodeStored(DType dtype, const float* values, int64_t n, std::byte* out);

}  // namespace oxidized
