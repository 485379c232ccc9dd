// What the files of kernels offer to the C++ beside them: launches that return nullptr, or what the runtime
// says went wrong. Without exceptions and formatting, which nvcc compiles slowly.
#pragma once

#include <cstdint>

#include "kernels/cuda/step_args.h"

namespace oxidized::cuda {

const char* AllowShared(int parts, int bytes);
const char* LaunchStep(const StepArgs& args, int parts, int layers, int blocks, int shared_bytes, int begin,
                       int end, uint32_t passed, void* stream);

// counts[token] += 1 for each.
const char* LaunchCount(const int32_t* tokens, int64_t n, int32_t* counts, void* stream);

// Rows of a matrix as they are stored, into units.
enum class Source : int32_t { kF32, kBf16, kF16 };
struct PackRows {
  Matrix to;          // of planes of bf16
  int32_t first_row;  // of the matrix, a multiple of 8
  int32_t rows;       // of `from`
  int32_t cols;       // of `from`
  Source type;
  const void* from;
};
const char* LaunchPack(const PackRows& pack, void* stream);

// Codes [rows, cols / 32, 16] in the published order, scales [rows, cols / 32]; all scales at most
// kMostScale.
struct PackCodes {
  Matrix to;
  int32_t rows, cols;
  const uint8_t *codes, *scales;
};
const char* LaunchPackCodes(const PackCodes& pack, void* stream);

}  // namespace oxidized::cuda
