#include "executor/cpu/expert_guess.h"

#include <algorithm>
#include <numeric>

#include "executor/cpu/cpu_products.h"

namespace oxidized {

ExpertGuess::ExpertGuess(const ModelConfig& config, const CpuKernels& kernels, ThreadTeam& team)
    : config_(config), kernels_(kernels), team_(team) {
  order_.resize(static_cast<size_t>(config.most_experts()));
  votes_.reserve(order_.size());
  guess_.reserve(order_.size());
}

std::span<const int32_t> ExpertGuess::Next(const float* residual, int64_t rows, const LayerWeights& next,
                                           const CpuLayerVectors& vectors, float* normed, float* logits) {
  const int64_t m = config_.hidden_size;
  const auto experts = static_cast<int32_t>(next.router.rows);  // E of that layer
  const DenseArgs args{.x = normed,
                       .ldx = m,
                       .w = next.router.data,
                       .bias = vectors.router_bias.data(),
                       .y = logits,
                       .ldy = experts,
                       .tokens = rows,
                       .k = m,
                       .x_rows = nullptr};
  team_.Run([&](int worker, int workers) {
    const Share share = ShareOf(rows, 1, worker, workers);
    for (int64_t t = share.begin; t < share.end; ++t) {
      kernels_.f32_rms_norm(residual + t * m, vectors.mlp_norm.data(), config_.rms_norm_eps, m,
                            normed + t * m);
    }
  });
  team_.Run([&](int worker, int workers) {
    const Share share = ShareOf(experts, kRowGranule, worker, workers);
    DenseProductFor(kernels_, next.router, XType::kF32)(args, share.begin, share.end);
  });

  order_.resize(static_cast<size_t>(experts));
  votes_.assign(order_.size(), {});
  for (int64_t t = 0; t < rows; ++t) {
    const float* row = logits + t * experts;
    std::iota(order_.begin(), order_.end(), 0);
    std::partial_sort(order_.begin(), order_.begin() + config_.experts_per_token, order_.end(),
                      [row](int32_t a, int32_t b) { return row[a] > row[b]; });
    for (int32_t rank = 0; rank < config_.experts_per_token; ++rank) {
      const int32_t expert = order_[static_cast<size_t>(rank)];
      Votes& votes = votes_[static_cast<size_t>(expert)];
      votes = {expert, votes.rows + 1, votes.rows == 0 ? row[expert] : std::max(votes.best, row[expert])};
    }
  }
  std::sort(votes_.begin(), votes_.end(), [](const Votes& a, const Votes& b) {
    return a.rows != b.rows ? a.rows > b.rows : a.best > b.best;
  });
  guess_.clear();
  for (const Votes& votes : votes_) {
    if (votes.rows > 0) guess_.push_back(votes.expert);
  }
  return guess_;
}

}  // namespace oxidized
