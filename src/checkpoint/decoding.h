// Tensors in block types that no kernel computes on (Q4_0 to Q6_K, IQ4_NL), decoded into memory of our own
// when the model is opened.
//
// Planning hands out the addresses where values will lie, without touching a page; Run fills them all, on
// every processor this process may use. Called by gguf_weights.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/aligned_buffer.h"
#include "tensor/dtype.h"

namespace oxidized {

struct DecodedTensors {
  int64_t tensors = 0;
  int64_t stored_bytes = 0;                         // of these tensors in the file
  int64_t bytes = 0;                                // of what they became
  double ms = 0.0;                                  // 0: not run
  std::vector<AlignedBuffer<std::byte>> owner;      // of the values
  std::vector<std::span<const std::byte>> sources;  // where they lie in the files: not needed once it has run
};

class TensorDecoding {
 public:
  // Where [rows, cols] values, stored as `from` at `data`, will lie as `to` (F32 or BF16), row-major.
  const std::byte* Plan(DType from, const std::byte* data, int64_t rows, int64_t cols, DType to);

  // Decodes everything planned. Throws Error(kNoMemory) before it begins when there is too little.
  void Run();

  DecodedTensors TakeResult() { return std::move(result_); }

 private:
  struct Matrix {
    DType from, to;
    const std::byte* data;
    int64_t rows, cols;
    std::byte* out;
  };
  std::vector<Matrix> planned_;
  DecodedTensors result_;
};

}  // namespace oxidized
