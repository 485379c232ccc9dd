#include "moe/routing_policy.h"

#include <algorithm>

#include "base/error.h"

namespace oxidized {

const RoutingStrategy* FindRoutingStrategy(std::string_view name) {
  for (const RoutingStrategy* strategy : RoutingStrategies()) {
    if (name == strategy->name()) return strategy;
  }
  return nullptr;
}

int32_t ExpertsPerToken(const RoutingPolicy& policy, int32_t model_k) {
  return policy.strategy->ExpertsPerToken(policy.experts_per_token > 0 ? policy.experts_per_token : model_k);
}

int32_t UsableExperts(const RoutingPolicy& policy, int32_t num_experts) {
  return policy.num_experts > 0 ? std::min(policy.num_experts, num_experts) : num_experts;
}

void Route(const RoutingPolicy& policy, int32_t model_k, std::span<const float> logits, int32_t num_experts,
           const RoutedRows& out) {
  const RouterRows rows{logits, num_experts, UsableExperts(policy, num_experts)};
  const int32_t k = std::min(ExpertsPerToken(policy, model_k), rows.usable);
  const auto tokens = static_cast<size_t>(rows.tokens());
  const size_t places = tokens * static_cast<size_t>(out.stride);
  OX_CHECK(k >= 1 && out.stride >= k && out.experts.size() >= places && out.weights.size() >= places);
  std::fill_n(out.experts.begin(), places, -1);
  std::fill_n(out.weights.begin(), places, 0.0f);
  std::fill_n(out.dropped.begin(), tokens, uint8_t{0});
  std::fill_n(out.rerouted.begin(), tokens, uint8_t{0});
  policy.strategy->Route(policy, k, rows, out);
}

}  // namespace oxidized
