// Which experts the next layer will probably choose: its router applied early, to the residual as it is
// before this layer's experts have added their part. A hint for prefetching that changes no result; how often
// it is right is counted by the expert store (docs/moe.md has figures). Used by CpuExecutor.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "executor/cpu/cpu_memory.h"
#include "model/model_config.h"
#include "parallel/thread_team.h"

namespace oxidized {

class ExpertGuess {
 public:
  // Keeps references to all three.
  ExpertGuess(const ModelConfig& config, const CpuKernels& kernels, ThreadTeam& team);

  // The experts that `next` would give rows of `residual` [rows, M], the ones that most rows choose first.
  // `normed` [rows, M] and `logits` [rows, E] are overwritten.
  std::span<const int32_t> Next(const float* residual, int64_t rows, const LayerWeights& next,
                                const CpuLayerVectors& vectors, float* normed, float* logits);

 private:
  struct Votes {
    int32_t expert = 0;
    int32_t rows = 0;
    float best = 0.0f;  // logit
  };

  const ModelConfig& config_;
  const CpuKernels& kernels_;
  ThreadTeam& team_;
  std::vector<Votes> votes_;
  std::vector<int32_t> order_, guess_;  // [E]
};

}  // namespace oxidized
