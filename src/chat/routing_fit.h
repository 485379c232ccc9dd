// A routing policy held against a model: whether the model can do it, and whether it is the model's own. What
// is said to the user, and whether it is an error, is the caller's.
#pragma once

#include <cstdint>

#include "model/model_config.h"
#include "moe/routing_policy.h"

namespace oxidized {

struct RoutingFit {
  bool experts_exist = true;      // no more are named than the model has
  int32_t usable_experts = 0;     // that may be chosen
  int32_t experts_per_token = 0;  // K as the policy has it
  bool models_own = true;         // nothing differs from the model's rule, even if it was said

  bool fits() const { return experts_exist && experts_per_token <= usable_experts; }
};

// Layers may have different numbers of experts: as many may be named as the largest has, and K must fit the
// smallest.
RoutingFit FitRouting(const RoutingPolicy& policy, const ModelConfig& config);

}  // namespace oxidized
