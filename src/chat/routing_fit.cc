#include "chat/routing_fit.h"

namespace oxidized {

RoutingFit FitRouting(const RoutingPolicy& policy, int32_t num_experts, int32_t experts_per_token) {
  RoutingPolicy other = policy;
  if (other.num_experts == num_experts) other.num_experts = 0;
  if (other.experts_per_token == experts_per_token) other.experts_per_token = 0;
  return {.experts_exist = policy.num_experts <= num_experts,
          .usable_experts = policy.num_experts > 0 ? policy.num_experts : num_experts,
          .experts_per_token = ExpertsPerToken(policy, experts_per_token),
          .models_own = other == RoutingPolicy{}};
}

}  // namespace oxidized
