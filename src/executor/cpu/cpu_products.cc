#include "executor/cpu/cpu_products.h"

#include <vector>

#include "base/error.h"
#include "tensor/interleaved.h"

namespace oxidized {

namespace {

bool MultipliesBf16(const MatrixView& m) { return m.dtype == DType::kBF16 || m.dtype == DType::kQ8_0; }

bool AllMxfp4(const WeightsView& weights) {
  bool all = true;
  for (const LayerWeights& layer : weights.layers) {
    for (const auto* experts : {&layer.gate_up, &layer.down}) {
      for (const ExpertView& e : *experts) all = all && IsMxfp4(e.layout);
    }
  }
  return all;
}

std::vector<const MatrixView*> DenseMatrices(const WeightsView& weights) {
  std::vector<const MatrixView*> all = {&weights.unembedding};
  for (const LayerWeights& layer : weights.layers) {
    all.insert(all.end(), {&layer.q, &layer.k, &layer.v, &layer.o});
  }
  return all;
}

}  // namespace

int64_t RowGranuleOf(const MatrixView& m) { return m.interleaved ? kInterleavedRows : kRowGranule; }

int64_t RowGranuleOf(const ExpertView& e) {
  if (e.layout != ExpertLayout::kInterleavedMxfp4) return kRowGranule;
  return e.up_values != nullptr ? 2 * kInterleavedRows : kInterleavedRows;
}

const Arithmetic& ArithmeticOf(Precision precision, const WeightsView& weights) {
  static constexpr Arithmetic kF32{Precision::kF32, Rounding::kNone, DType::kF32},
      kBf16{Precision::kBf16, Rounding::kBf16, DType::kBF16},
      kF16{Precision::kF16, Rounding::kF16, DType::kF16};
  switch (precision) {
    case Precision::kF32:
      return kF32;
    case Precision::kBf16:
      return kBf16;
    case Precision::kF16:
      return kF16;
    case Precision::kAuto:
      break;
  }
  const DType stored = weights.unembedding.dtype;
  return stored == DType::kF32 ? kF32 : stored == DType::kF16 ? kF16 : kBf16;
}

XFormat ChooseXFormat(Rounding rounding, const CpuKernels& kernels, const WeightsView& weights) {
  bool native = rounding == Rounding::kBf16 && kernels.native_bf16 && AllMxfp4(weights);
  for (const MatrixView* m : DenseMatrices(weights)) native = native && MultipliesBf16(*m);
  return {native ? XType::kBf16 : XType::kF32, rounding};
}

ProductFormats ChooseFormats(Rounding rounding, bool int8, const CpuKernels& kernels,
                             const WeightsView& weights) {
  const XFormat exact = ChooseXFormat(rounding, kernels, weights);
  ProductFormats formats{exact, exact};
  if (!int8) return formats;
  for (const MatrixView* m : DenseMatrices(weights))
    formats.int8_dense = formats.int8_dense || m->dtype == DType::kQ8_0;
  if (AllMxfp4(weights)) formats.experts = {XType::kInt8};
  if (!formats.any_int8()) {
    throw Error(ErrorKind::kUsage,
                {.setting = Setting::kActivations,
                 .value = "int8",
                 .found = "this model has neither experts in MXFP4 nor dense weights in Q8_0",
                 .remedies = {{Setting::kActivations, "leave out {}"}}});
  }
  return formats;
}

Arrangements ArrangementsFor(const ProductFormats& formats, const CpuKernels& kernels) {
  Arrangements best{.interleave_dense = formats.int8_dense};
  if (formats.experts.type == XType::kInt8) best.experts = ExpertLayout::kInterleavedMxfp4;
  if (formats.experts.type == XType::kBf16 && kernels.grouped_mxfp4)
    best.experts = ExpertLayout::kGroupedMxfp4;
  return best;
}

DenseProduct DenseProductFor(const CpuKernels& kernels, const MatrixView& w, XType x, bool packed) {
  if (x == XType::kInt8) {
    OX_CHECK(w.dtype == DType::kQ8_0);
    return kernels.int8_q8w_matmul;
  }
  OX_CHECK(!w.interleaved);
  const bool bf16 = x == XType::kBf16;
  if (packed) return bf16 ? kernels.bf16_packedw_matmul : kernels.f32_packedw_matmul;
  switch (w.dtype) {
    case DType::kF32:
      OX_CHECK(!bf16);
      return kernels.f32_f32w_matmul;
    case DType::kF16:
      OX_CHECK(!bf16);
      return kernels.f32_f16w_matmul;
    case DType::kQ8_0:
      return bf16 ? kernels.bf16_q8w_matmul : kernels.f32_q8w_matmul;
    default:
      return bf16 ? kernels.bf16_bf16w_matmul : kernels.f32_bf16w_matmul;
  }
}

ExpertProducts ExpertProductsFor(const CpuKernels& kernels, ExpertLayout layout, XType x) {
  const LayoutReaders& readers = LayoutRow(layout).readers;
  switch (x) {
    case XType::kInt8:
      OX_CHECK(readers.int8);
      return {kernels.int8_mxfp4w_moe_gate_up, kernels.int8_mxfp4w_moe_down};
    case XType::kBf16:
      OX_CHECK(readers.bf16 && (layout != ExpertLayout::kGroupedMxfp4 || kernels.grouped_mxfp4));
      return {kernels.bf16_mxfp4w_moe_gate_up, kernels.bf16_mxfp4w_moe_down};
    case XType::kF32:
      break;
  }
  OX_CHECK(readers.f32);
  if (layout == ExpertLayout::kTransposed)
    return {kernels.f32_transposedw_moe_gate_up, kernels.f32_transposedw_moe_down};
  if (layout == ExpertLayout::kRows) return {kernels.f32_rowsw_moe_gate_up, kernels.f32_rowsw_moe_down};
  return {kernels.f32_mxfp4w_moe_gate_up, kernels.f32_mxfp4w_moe_down};
}

void SetWeights(const ExpertView& e, ExpertArgs& args) {
  args.values = e.values;
  args.up_values = e.up_values;
  args.scales = e.scales;
  args.layout = e.layout;
  args.value_type = e.dtype;
  args.bias = e.bias.data;
  args.up_bias = e.up_values != nullptr ? e.up_bias.data : nullptr;
  args.bias_type = e.bias.dtype;
  args.n = e.rows;
  args.k = e.cols;
}

}  // namespace oxidized
