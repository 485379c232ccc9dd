// Runs of stored values of any type the program computes with: their size, and their exact widening to f32.
// The scalar truth that readers, the reference executor and tests use; kernels/ has its own fast ways.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace oxidized {

// Bytes of n values; n is a multiple of BlockOf(dtype).elements.
int64_t StoredBytes(DType dtype, int64_t n);

// Whether DecodeStored knows the type.
bool CanDecode(DType dtype);

// out[0..n) = the values at `data` (any alignment), widened to f32. Every type CanDecode() names is exact but
// for those whose value is a sum of two products (Q4_1, Q5_1, Q4_K, Q5_K), which round once or twice in f32.
void DecodeStored(DType dtype, const std::byte* data, int64_t n, float* out);

}  // namespace oxidized
