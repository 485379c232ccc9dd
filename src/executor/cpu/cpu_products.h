// Which kernel multiplies what: the CPU executor's activations, dense weights and experts by their stored
// form. No arithmetic and no threads; called by cpu_executor, cpu_dense, cpu_experts and cpu_logits.
#pragma once

#include <cstdint>

#include "kernels/cpu/cpu_kernels.h"
#include "model/arrange.h"
#include "model/weights.h"
#include "tensor/precision.h"

namespace oxidized {

using DenseProduct = void (*)(const DenseArgs&, int64_t, int64_t);
using ExpertProduct = void (*)(const ExpertArgs&, int64_t, int64_t);

// Weight rows are cut between threads at multiples of a register tile, interleaved ones of a panel.
inline constexpr int64_t kRowGranule = 4;
// Parts that threads take in turn are cut at whole panels of each of two matrices.
inline constexpr int64_t kPartGranule = 64;
int64_t RowGranuleOf(const MatrixView& matrix);
int64_t RowGranuleOf(const ExpertView& expert);

// What a precision means here. kAuto: of what the unembedding is stored in.
struct Arithmetic {
  Precision precision;
  Rounding rounding;
  DType kv_type;
};
const Arithmetic& ArithmeticOf(Precision precision, const WeightsView& weights);

// bf16 memory only where bf16 rounding is wanted, the tier multiplies it directly and every weight has such a
// product: dense ones in BF16 or Q8_0, experts in a form of MXFP4.
XFormat ChooseXFormat(Rounding rounding, const CpuKernels& kernels, const WeightsView& weights);

// The forms in which rows enter products. Without 8-bit activations all are `dense`; with them Q8_0 matrices
// take int8 rows, experts in a form of MXFP4 too, and what is left takes `dense`.
struct ProductFormats {
  XFormat dense, experts;
  bool int8_dense = false;  // Q8_0 matrices take int8

  XType TypeFor(const MatrixView& matrix) const {
    return int8_dense && matrix.dtype == DType::kQ8_0 ? XType::kInt8 : dense.type;
  }
  bool any_int8() const { return int8_dense || experts.type == XType::kInt8; }
};
// Throws Error(kUsage) if `int8` is asked for and no weight of the model has a product with it.
ProductFormats ChooseFormats(Rounding rounding, bool int8, const CpuKernels& kernels,
                             const WeightsView& weights);

// How weights in memory of our own are read fastest.
Arrangements ArrangementsFor(const ProductFormats& formats, const CpuKernels& kernels);

// `packed`: for the 12-bit form of bf16 weights.
DenseProduct DenseProductFor(const CpuKernels& kernels, const MatrixView& w, XType x, bool packed = false);

// The two products of an expert stored in `layout`.
struct ExpertProducts {
  ExpertProduct gate_up, down;
};
ExpertProducts ExpertProductsFor(const CpuKernels& kernels, ExpertLayout layout, XType x);

// What `args` says of the weights: where and how they lie, their shape and bias.
void SetWeights(const ExpertView& expert, ExpertArgs& args);

// What products cost: stored bytes of the weights used, operations.
struct ProductCost {
  int64_t bytes = 0;
  int64_t flops = 0;
};

inline int64_t PaddedX(int64_t n) { return (n + kXPad - 1) / kXPad * kXPad; }
// Bytes of a padded row.
inline int64_t XRowBytes(XType type, int64_t n) {
  if (type == XType::kInt8) return PaddedX(n) / kXPad * static_cast<int64_t>(sizeof(Int8XBlock));
  return PaddedX(n) * (type == XType::kF32 ? 4 : 2);
}
// From row to row, in the unit of the kernels' ldx.
inline int64_t XStride(XType type, int64_t n) {
  return type == XType::kInt8 ? XRowBytes(type, n) : PaddedX(n);
}
// Rows between an expert's two products. In the int8 path gate_up leaves f32, which is rounded where it lies.
inline int64_t GatedRowBytes(XFormat experts, int64_t n) {
  return XRowBytes(experts.type == XType::kInt8 ? XType::kF32 : experts.type, n);
}

}  // namespace oxidized
