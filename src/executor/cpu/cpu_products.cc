#include "executor/cpu/cpu_products.h"

namespace oxidized {

XFormat ChooseXFormat(Rounding rounding, const CpuKernels& kernels, const WeightsView& weights) {
  bool native =
      rounding == Rounding::kBf16 && kernels.native_bf16 && weights.unembedding.dtype == DType::kBF16;
  for (const LayerWeights& layer : weights.layers) {
    for (const MatrixView* m : {&layer.q, &layer.k, &layer.v, &layer.o})
      native = native && m->dtype == DType::kBF16;
    for (const auto* experts : {&layer.gate_up, &layer.down}) {
      for (const ExpertView& e : *experts) native = native && e.layout == ExpertLayout::kMxfp4;
    }
  }
  return {native ? XType::kBf16 : XType::kF32, rounding};
}

DenseProduct DenseProductFor(const CpuKernels& kernels, DType w, XType x) {
  if (x == XType::kBf16) return kernels.bf16_bf16w_matmul;
  return w == DType::kF32   ? kernels.f32_f32w_matmul
         : w == DType::kF16 ? kernels.f32_f16w_matmul
                            : kernels.f32_bf16w_matmul;
}

ExpertProduct GateUpProductFor(const CpuKernels& kernels, ExpertLayout layout, XType x) {
  if (layout == ExpertLayout::kTransposed) return kernels.f32_transposedw_moe_gate_up;
  return x == XType::kBf16 ? kernels.bf16_mxfp4w_moe_gate_up : kernels.f32_mxfp4w_moe_gate_up;
}

ExpertProduct DownProductFor(const CpuKernels& kernels, ExpertLayout layout, XType x) {
  if (layout == ExpertLayout::kTransposed) return kernels.f32_transposedw_moe_down;
  return x == XType::kBf16 ? kernels.bf16_mxfp4w_moe_down : kernels.f32_mxfp4w_moe_down;
}

}  // namespace oxidized
