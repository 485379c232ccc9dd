// topk, the model's own rule: the K highest router logits, weights their softmax over those K. Exact. With a
// capacity given explicitly it is the rule of capacity.cc.
#include "moe/strategies/tools.h"

namespace oxidized {
namespace {

class TopK final : public RoutingStrategy {
 public:
  const char* name() const override { return "topk"; }
  const char* summary() const override { return "the model's own rule"; }
  bool DependsOnStep(const RoutingPolicy& policy) const override {
    return policy.capacity_factor.has_value();
  }

  void Route(const RoutingPolicy& policy, int32_t k, const RouterRows& rows,
             const RoutedRows& out) const override {
    if (policy.capacity_factor) return RouteWithCapacity(*policy.capacity_factor, k, rows, out);
    for (int64_t t = 0; t < rows.tokens(); ++t) {
      float* weights = out.weights.data() + t * out.stride;
      int32_t* experts = out.experts.data() + t * out.stride;
      for (const RankedExpert& choice : RankExperts(rows.row(t), k)) {
        *experts++ = choice.expert;
        *weights++ = choice.logit;
      }
      SoftmaxOf(weights - k, k, weights - k);
    }
  }
};

}  // namespace

const RoutingStrategy& TopKRouting() {
  static const TopK strategy;
  return strategy;
}

}  // namespace oxidized
