// What strategies share: ranking, the softmax over those chosen, room under a capacity. For files of this
// folder.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "moe/routing_policy.h"

namespace oxidized {

// An expert as a row ranks it: by descending logit, the lowest id first on ties.
struct RankedExpert {
  float logit;
  int32_t expert;
  bool operator<(const RankedExpert& other) const {
    return logit > other.logit || (logit == other.logit && expert < other.expert);
  }
};

// The `count` highest ranked experts of a row, best first. The memory is the calling thread's, good until its
// next call.
std::span<const RankedExpert> RankExperts(std::span<const float> row, int32_t count);

// weights[i] = the softmax of logits over those n places; logits[0] is the highest.
void SoftmaxOf(const float* logits, int32_t n, float* weights);

// How many choices each expert may serve in one step of one sequence: ceil(factor * tokens * k / usable).
class CapacityLoad {
 public:
  CapacityLoad(double factor, int64_t tokens, int32_t k, int32_t usable);
  // Takes one place with the expert; false: it is full.
  bool Take(int32_t expert);

 private:
  int64_t capacity_;
  std::vector<int64_t>& served_;
};

// topk under a capacity (strategies/capacity.cc).
void RouteWithCapacity(double factor, int32_t k, const RouterRows& rows, const RoutedRows& out);

}  // namespace oxidized
