// Which kernel multiplies what: the CPU executor's activations, dense weights and experts by their stored
// form. No arithmetic and no threads; called by cpu_executor, cpu_experts and cpu_logits.
#pragma once

#include <cstdint>

#include "kernels/cpu/cpu_kernels.h"
#include "model/weights.h"

namespace oxidized {

using DenseProduct = void (*)(const DenseArgs&, int64_t, int64_t);
using ExpertProduct = void (*)(const ExpertArgs&, int64_t, int64_t);

inline constexpr int64_t kRowGranule =
    4;  // weight rows are cut between threads at multiples of a register tile

// bf16 memory only where bf16 rounding is wanted, the tier multiplies it directly and every weight has such a
// product: dense ones in BF16 or Q8_0, experts in a form of MXFP4.
XFormat ChooseXFormat(Rounding rounding, const CpuKernels& kernels, const WeightsView& weights);

// `packed`: for the 12-bit form of bf16 weights.
DenseProduct DenseProductFor(const CpuKernels& kernels, DType w, XType x, bool packed = false);

// The two products of an expert stored in `layout`.
struct ExpertProducts {
  ExpertProduct gate_up, down;
};
ExpertProducts ExpertProductsFor(const CpuKernels& kernels, ExpertLayout layout, XType x);

// What `args` says of the weights: where and how they lie, their shape and bias.
void SetWeights(const ExpertView& expert, ExpertArgs& args);

inline int64_t PaddedX(int64_t n) { return (n + kXPad - 1) / kXPad * kXPad; }
inline int64_t ElementBytes(XFormat format) { return format.type == XType::kF32 ? 4 : 2; }

}  // namespace oxidized
