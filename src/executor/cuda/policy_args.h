// Routing policies as the card's kernels know them.
#pragma once

#include <vector>

#include "kernels/cuda/step_args.h"
#include "moe/routing_policy.h"

namespace oxidized::cuda {

// The rules that the kernels have.
std::vector<const RoutingStrategy*> KnownRules();
// `policy` has one of them.
PolicyArgs PolicyArgsOf(const RoutingPolicy& policy, int32_t model_k);

}  // namespace oxidized::cuda
