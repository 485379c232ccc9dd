// topk under a capacity of ceil(factor * T * K / E): tokens are served in position order, each token's
// choices by descending logit (lowest id on ties); a token takes the next-ranked expert with room until it
// has K or none is left; its weights are the softmax over the logits of the experts finally used. T counts
// the tokens that one sequence adds in one step, never batch mates.
#include "moe/strategies/tools.h"

namespace oxidized {

void RouteWithCapacity(double factor, int32_t k, const RouterRows& rows, const RoutedRows& out) {
  CapacityLoad load(factor, rows.tokens(), k, rows.usable);
  for (int64_t t = 0; t < rows.tokens(); ++t) {
    int32_t* experts = out.experts.data() + t * out.stride;
    float* weights = out.weights.data() + t * out.stride;
    int32_t chosen = 0, rank = 0, rerouted = 0;
    for (const RankedExpert& choice : RankExperts(rows.row(t), rows.usable)) {
      if (chosen == k) break;
      const bool beyond = rank++ >= k;
      if (!load.Take(choice.expert)) continue;
      rerouted += beyond;
      experts[chosen] = choice.expert;
      weights[chosen++] = choice.logit;
    }
    if (chosen > 0) SoftmaxOf(weights, chosen, weights);
    out.dropped[static_cast<size_t>(t)] = static_cast<uint8_t>(k - chosen);
    out.rerouted[static_cast<size_t>(t)] = static_cast<uint8_t>(rerouted);
  }
}

}  // namespace oxidized
