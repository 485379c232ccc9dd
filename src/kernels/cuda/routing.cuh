// Which experts each row uses, by the rules of moe/strategies, from the logits of all rows of a layer; and
// the rows of each expert in tiles. By one block.
#pragma once

#include "kernels/cuda/block.cuh"
#include "kernels/cuda/step_args.h"
#include "sampling/sampling_math.h"

namespace oxidized::cuda {

// By a warp, `logits` in shared memory: the expert ranked behind all those whose rank is above `limit`:
// descending logit, lowest id first.
__device__ inline uint64_t NextRank(const float* logits, int usable, uint64_t limit) {
  uint64_t best = 0;
  for (int e = threadIdx.x % 32; e < usable; e += 32) {
    const uint64_t rank = sampling_math::TokenRank(logits[e], e);
    if (rank <= limit && rank > best) best = rank;
  }
  return WarpMax(best);
}

// The row's places, filled by lane 0.
struct RoutedRow {
  int32_t* experts;
  float* weights;
};

// weights hold logits, the highest first; they become their softmax.
__device__ inline void SoftmaxOf(float* weights, int n) {
  const float highest = weights[0];
  float sum = 0.0f;
  for (int i = 0; i < n; ++i) {
    weights[i] = expf(weights[i] - highest);
    sum += weights[i];
  }
  for (int i = 0; i < n; ++i) weights[i] /= sum;
}

// By a warp. The k first, or with `served` the k first with room; returns how many it found.
__device__ inline int TakeExperts(const float* logits, int usable, int k, const RoutedRow& row,
                                  int32_t* served, int64_t capacity, int& rerouted) {
  int chosen = 0, rank = 0;
  uint64_t limit = ~uint64_t{0};
  while (chosen < k && rank < usable) {
    const uint64_t best = NextRank(logits, usable, limit);
    limit = best - 1;
    const int expert = sampling_math::TokenOfRank(best);
    const bool beyond = rank++ >= k;
    if (served != nullptr) {
      const bool full = served[expert] >= capacity;
      __syncwarp();
      if (full) continue;
      if (threadIdx.x % 32 == 0) ++served[expert];
      __syncwarp();
    }
    rerouted += beyond;
    if (threadIdx.x % 32 == 0) {
      row.experts[chosen] = expert;
      row.weights[chosen] = logits[expert];
    }
    ++chosen;
  }
  return chosen;
}

__device__ inline void ChooseRow(const PolicyArgs& policy, int k, int usable, const float* logits,
                                 const RoutedRow& row, int32_t* served, int64_t capacity, uint8_t* dropped,
                                 uint8_t* rerouted) {
  const bool first_lane = threadIdx.x % 32 == 0;
  int moved = 0, chosen = 0;
  if (policy.rule == Rule::kTopK) {
    chosen = TakeExperts(logits, usable, k, row, served, capacity, moved);
    if (first_lane && chosen > 0) SoftmaxOf(row.weights, chosen);
  } else {
    const int expert = sampling_math::TokenOfRank(NextRank(logits, usable, ~uint64_t{0}));
    float weight = 1.0f;
    if (policy.rule == Rule::kSwitch) {
      float sum = 0.0f;
      for (int e = threadIdx.x % 32; e < usable; e += 32) sum += expf(logits[e] - logits[expert]);
      weight = 1.0f / WarpSum(sum);
    }
    const bool full = served != nullptr && served[expert] >= capacity;
    __syncwarp();
    if (!full) {
      chosen = 1;
      if (first_lane) {
        if (served != nullptr) ++served[expert];
        row.experts[0] = expert;
        row.weights[0] = weight;
      }
      __syncwarp();
    }
  }
  if (first_lane) {
    *dropped = static_cast<uint8_t>(k - chosen);
    *rerouted = static_cast<uint8_t>(moved);
  }
}

__device__ inline void ChooseExperts(const ModelArgs& m, const StepArgs& a, const LayerArgs& layer, int index,
                                     int32_t* shared) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, num_experts = layer.num_experts;
  const auto choose = [&](int t, const PolicyArgs& policy, int32_t* served, int64_t capacity) {
    const int64_t at = int64_t{index} * a.tokens + t;
    const int usable = policy.usable > 0 ? min(policy.usable, num_experts) : num_experts;
    const RoutedRow row{a.experts + at * a.stride, a.weights + at * a.stride};
    float* logits = reinterpret_cast<float*>(shared) + (kWarps + warp) * m.most_experts;
    for (int e = lane; e < usable; e += 32) logits[e] = __ldcg(a.router_logits + at * m.most_experts + e);
    for (int i = lane; i < a.stride; i += 32) {
      row.experts[i] = -1;
      row.weights[i] = 0.0f;
    }
    __syncwarp();
    ChooseRow(policy, min(policy.k, usable), usable, logits, row, served, capacity, a.dropped + at,
              a.rerouted + at);
  };
  for (int t = warp; t < a.tokens; t += kWarps) {
    const PolicyArgs& policy = a.policy[a.sequence_of[t]];
    if (!policy.has_capacity) choose(t, policy, nullptr, 0);
  }
  // Rows of a sequence share its room, in their order.
  int32_t* served = shared + warp * m.most_experts;
  for (int s = warp; s < a.sequences; s += kWarps) {
    const PolicyArgs& policy = a.policy[s];
    if (!policy.has_capacity) continue;
    const int usable = policy.usable > 0 ? min(policy.usable, num_experts) : num_experts,
              k = min(policy.k, usable);
    const double choices = static_cast<double>(a.query_start[s + 1] - a.query_start[s]) * k;
    const auto capacity = static_cast<int64_t>(ceil(policy.capacity_factor * choices / usable));
    for (int e = lane; e < num_experts; e += 32) served[e] = 0;
    __syncwarp();
    for (int t = a.query_start[s]; t < a.query_start[s + 1]; ++t) choose(t, policy, served, capacity);
  }
}

// Places (row * stride + rank) by expert, in tiles. The order within an expert is any: no result depends on
// it.
__device__ inline void GroupByExpert(const StepArgs& a, const LayerArgs& layer, int index, int32_t* shared) {
  int32_t *count = shared, *tile = shared + layer.num_experts;  // of an expert: places; its first tile
  const int32_t* experts = a.experts + int64_t{index} * a.tokens * a.stride;
  const int places = a.tokens * a.stride;
  __syncthreads();
  for (int e = threadIdx.x; e < layer.num_experts; e += kThreads) count[e] = 0;
  __syncthreads();
  for (int i = threadIdx.x; i < places; i += kThreads) {
    if (experts[i] >= 0) atomicAdd(count + experts[i], 1);
  }
  __syncthreads();
  if (threadIdx.x < 32) {  // a warp sums up to which tile the experts before reach
    int before = 0;
    for (int e0 = 0; e0 < layer.num_experts; e0 += 32) {
      const int e = e0 + static_cast<int>(threadIdx.x);
      const int mine = e < layer.num_experts ? (count[e] + kTileTokens - 1) / kTileTokens : 0;
      int through = mine;
#pragma unroll
      for (int step = 1; step < 32; step <<= 1) {
        const int other = __shfl_up_sync(~0u, through, step);
        if (static_cast<int>(threadIdx.x) >= step) through += other;
      }
      if (e < layer.num_experts) tile[e] = before + through - mine;
      before += __shfl_sync(~0u, through, 31);
    }
    if (threadIdx.x == 0) *a.num_tiles = before;
  }
  __syncthreads();
  for (int e = threadIdx.x; e < layer.num_experts; e += kThreads) {
    const int n = count[e];
    for (int i = 0; i < n; i += kTileTokens) {
      Tile& of = a.tiles[tile[e] + i / kTileTokens];
      of.count = min(kTileTokens, n - i);
      of.expert = layer.experts[e];
    }
  }
  __syncthreads();
  for (int e = threadIdx.x; e < layer.num_experts; e += kThreads) count[e] = 0;
  __syncthreads();
  for (int i = threadIdx.x; i < places; i += kThreads) {
    if (experts[i] < 0) continue;
    const int at = atomicAdd(count + experts[i], 1);
    a.tiles[tile[experts[i]] + at / kTileTokens].place[at % kTileTokens] = i;
  }
}

}  // namespace oxidized::cuda
