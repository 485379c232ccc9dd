#include "chat/routing_fit.h"

namespace oxidized {

RoutingFit FitRouting(const RoutingPolicy& policy, const ModelConfig& config) {
  RoutingPolicy other = policy;
  if (other.num_experts == config.most_experts()) other.num_experts = 0;
  if (other.experts_per_token == config.experts_per_token) other.experts_per_token = 0;
  return {.experts_exist = policy.num_experts <= config.most_experts(),
          .usable_experts = UsableExperts(policy, config.least_experts()),
          .experts_per_token = ExpertsPerToken(policy, config.experts_per_token),
          .models_own = other == RoutingPolicy{}};
}

}  // namespace oxidized
