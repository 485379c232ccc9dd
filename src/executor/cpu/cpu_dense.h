// Products of a step's rows and dense matrices on the CPU, divided between the threads: attention's
// projections.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "executor/cpu/cpu_products.h"
#include "model/packed_dense.h"
#include "model/weights.h"
#include "parallel/thread_team.h"

namespace oxidized {

// Rows [T, K] of f32 in the forms that products take.
struct ProductRows {
  const void *dense, *int8;
  const void* As(XType type) const { return type == XType::kInt8 ? int8 : dense; }
};

class CpuDense {
 public:
  struct Projection {
    const MatrixView& w;  // [N, K]
    const float* bias;    // [N]
    float* y;             // [T, N]
  };

  // Keeps references to all but `formats`.
  CpuDense(const CpuKernels& kernels, const ProductFormats& formats, const PackedDense& packed,
           ThreadTeam& team);

  // y = x W^T + bias of each matrix, for T = `tokens` rows of x. No division of the work changes a bit.
  ProductCost Run(std::initializer_list<Projection> projections, const ProductRows& x, int64_t tokens);

 private:
  DenseArgs Args(const Projection& projection, const ProductRows& x, int64_t tokens) const;
  void Multiply(const Projection& projection, const DenseArgs& args, const Share& rows) const;

  const CpuKernels& kernels_;
  const ProductFormats formats_;
  const PackedDense& packed_;
  ThreadTeam& team_;
};

}  // namespace oxidized
