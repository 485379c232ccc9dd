#include "executor/cpu/cpu_dense.h"

#include <algorithm>

namespace oxidized {
namespace {

constexpr int64_t kManyTokens = 24;  // from here on bound by arithmetic
constexpr int64_t kPartsOfAThread = 8;

int64_t RoundUp(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

}  // namespace

CpuDense::CpuDense(const CpuKernels& kernels, const ProductFormats& formats, const PackedDense& packed,
                   ThreadTeam& team)
    : kernels_(kernels), formats_(formats), packed_(packed), team_(team) {}

ProductCost CpuDense::Run(std::initializer_list<Projection> projections, const ProductRows& x,
                          int64_t tokens) {
  ProductCost cost;
  int64_t rows = 0, x_row_bytes = 0;
  for (const Projection& p : projections) {
    cost.bytes += packed_.ReadBytes(p.w);
    cost.flops += 2 * tokens * p.w.rows * p.w.cols;
    rows += p.w.rows;
    x_row_bytes = std::max(x_row_bytes, XRowBytes(formats_.TypeFor(p.w), p.w.cols));
  }
  if (tokens < kManyTokens) {  // bound by memory: every thread reads on through its share of every matrix
    team_.Run([&](int worker, int workers) {
      for (const Projection* p = projections.begin(); p != projections.end(); ++p) {
        DenseArgs args = Args(*p, x, tokens);
        if (p + 1 != projections.end()) {
          const MatrixView& w = p[1].w;
          args.next = w.data + ShareOf(w.rows, RowGranuleOf(w), worker, workers).begin * w.row_bytes();
        }
        Multiply(*p, args, ShareOf(p->w.rows, RowGranuleOf(p->w), worker, workers));
      }
    });
    return cost;
  }
  // Items are some weight rows against the tokens of one pass, those of a pass one after the other: so its
  // activations stay in a thread's second-level cache.
  const int64_t most = PassTokens(x_row_bytes), passes = (tokens + most - 1) / most;
  const int64_t part = RoundUp(std::max<int64_t>(1, rows / (kPartsOfAThread * team_.size())), kPartGranule);
  int64_t parts = 0;
  for (const Projection& p : projections) parts += (p.w.rows + part - 1) / part;
  team_.ForEach(passes * parts, [&](int64_t item, int) {
    const int64_t first = item / parts * most;
    const Projection* p = projections.begin();
    int64_t row = item % parts * part;
    for (; row >= p->w.rows; ++p) row -= RoundUp(p->w.rows, part);
    DenseArgs args = Args(*p, x, std::min(most, tokens - first));
    const XType type = formats_.TypeFor(p->w);
    args.x = static_cast<const std::byte*>(args.x) + first * XRowBytes(type, p->w.cols);
    args.y += first * args.ldy;
    Multiply(*p, args, {row, std::min(row + part, p->w.rows)});
  });
  return cost;
}

DenseArgs CpuDense::Args(const Projection& p, const ProductRows& x, int64_t tokens) const {
  const XType type = formats_.TypeFor(p.w);
  return {.x = x.As(type),
          .ldx = XStride(type, p.w.cols),
          .w = p.w.data,
          .interleaved = p.w.interleaved,
          .packed = packed_.Find(p.w),
          .bias = p.bias,
          .y = p.y,
          .ldy = p.w.rows,
          .tokens = tokens,
          .k = p.w.cols,
          .x_rows = nullptr};
}

void CpuDense::Multiply(const Projection& p, const DenseArgs& args, const Share& rows) const {
  DenseProductFor(kernels_, p.w, formats_.TypeFor(p.w), args.packed != nullptr)(args, rows.begin, rows.end);
}

}  // namespace oxidized
