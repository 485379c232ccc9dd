#include "moe/routing_policy.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"

namespace oxidized {
namespace {

constexpr struct {
  RoutingStrategy strategy;
  const char* name;
} kNames[] = {{RoutingStrategy::kTopK, "topk"},
              {RoutingStrategy::kSwitch, "switch"},
              {RoutingStrategy::kExpert1, "expert1"}};

struct Ranked {
  float logit;
  int32_t expert;
  bool operator<(const Ranked& other) const {
    return logit > other.logit || (logit == other.logit && expert < other.expert);
  }
};

// Scratch of the calling thread: routing is scalar, per layer and sequence, and must not allocate in a decode
// step.
std::vector<Ranked>& RankScratch() {
  thread_local std::vector<Ranked> scratch;
  return scratch;
}
std::vector<int64_t>& LoadScratch() {
  thread_local std::vector<int64_t> scratch;
  return scratch;
}

// The number of (token, rank) choices one expert may serve in this step; negative: unlimited.
int64_t Capacity(const RoutingPolicy& policy, int64_t tokens, int32_t k, int32_t num_experts) {
  if (policy.strategy == RoutingStrategy::kExpert1) return -1;
  if (policy.strategy == RoutingStrategy::kTopK && !policy.capacity_factor) return -1;
  const double choices = static_cast<double>(tokens) * k;
  return static_cast<int64_t>(std::ceil(policy.capacity_factor.value_or(1.0) * choices / num_experts));
}

}  // namespace

const char* Name(RoutingStrategy strategy) { return kNames[static_cast<size_t>(strategy)].name; }

std::optional<RoutingStrategy> ParseRoutingStrategy(std::string_view name) {
  for (const auto& row : kNames) {
    if (name == row.name) return row.strategy;
  }
  return std::nullopt;
}

int32_t ExpertsPerToken(const RoutingPolicy& policy, int32_t model_k) {
  if (policy.strategy != RoutingStrategy::kTopK) return 1;
  return policy.experts_per_token > 0 ? policy.experts_per_token : model_k;
}

void Route(const RoutingPolicy& policy, int32_t model_k, std::span<const float> logits, int32_t num_experts,
           const RoutedRows& out) {
  const int32_t usable = policy.num_experts > 0 ? std::min(policy.num_experts, num_experts) : num_experts;
  const int32_t k = std::min(ExpertsPerToken(policy, model_k), usable);
  const auto tokens = static_cast<int64_t>(logits.size()) / num_experts;
  OX_CHECK(out.stride >= k && static_cast<int64_t>(out.experts.size()) >= tokens * out.stride);
  const int64_t capacity = Capacity(policy, tokens, k, usable);

  std::vector<Ranked>& ranked = RankScratch();
  std::vector<int64_t>& load = LoadScratch();
  load.assign(static_cast<size_t>(usable), 0);

  for (int64_t t = 0; t < tokens; ++t) {
    const float* row = logits.data() + t * num_experts;
    int32_t* experts = out.experts.data() + t * out.stride;
    float* weights = out.weights.data() + t * out.stride;
    std::fill_n(experts, out.stride, -1);
    std::fill_n(weights, out.stride, 0.0f);

    ranked.clear();
    for (int32_t e = 0; e < usable; ++e) ranked.push_back({row[e], e});
    // Switch drops what its one expert cannot take; topk with a capacity may look at every further rank.
    const bool reroutes = capacity >= 0 && policy.strategy == RoutingStrategy::kTopK;
    const int32_t eligible = reroutes ? usable : k;
    std::partial_sort(ranked.begin(), ranked.begin() + eligible, ranked.end());

    int32_t chosen = 0, rerouted = 0;
    float chosen_logit[256];
    OX_CHECK(k <= 256);
    for (int32_t rank = 0; rank < eligible && chosen < k; ++rank) {
      const int32_t expert = ranked[static_cast<size_t>(rank)].expert;
      int64_t& served = load[static_cast<size_t>(expert)];
      if (capacity >= 0 && served >= capacity) continue;
      ++served;
      rerouted += rank >= k;
      experts[chosen] = expert;
      chosen_logit[chosen++] = ranked[static_cast<size_t>(rank)].logit;
    }
    out.dropped[static_cast<size_t>(t)] = static_cast<uint8_t>(k - chosen);
    out.rerouted[static_cast<size_t>(t)] = static_cast<uint8_t>(rerouted);
    if (chosen == 0) continue;

    switch (policy.strategy) {
      case RoutingStrategy::kTopK: {  // softmax over the experts used; chosen_logit[0] is the highest
        float sum = 0.0f;
        for (int32_t i = 0; i < chosen; ++i) sum += weights[i] = std::exp(chosen_logit[i] - chosen_logit[0]);
        for (int32_t i = 0; i < chosen; ++i) weights[i] /= sum;
        break;
      }
      case RoutingStrategy::kSwitch: {  // the softmax over all usable experts, at its maximum
        float sum = 0.0f;
        for (int32_t e = 0; e < usable; ++e) sum += std::exp(row[e] - chosen_logit[0]);
        weights[0] = 1.0f / sum;
        break;
      }
      case RoutingStrategy::kExpert1:
        weights[0] = 1.0f;
        break;
    }
  }
}

}  // namespace oxidized
