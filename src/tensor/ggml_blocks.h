// Decoders of ggml's quantised blocks: the scalar truth of every block type of GGUF that this program reads.
//
// Layouts as in ggml's ggml-common.h (MIT); the values are what ggml's dequantize_row_* mean, each product
// exact in f32. Called by DecodeStored.
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace oxidized {

// `block`: BlockOf(dtype).bytes bytes at any address; out [BlockOf(dtype).elements].
using BlockDecoder = void (*)(const uint8_t* block, float* out);

BlockDecoder GgmlBlockDecoder(DType dtype);  // of a block type

}  // namespace oxidized
