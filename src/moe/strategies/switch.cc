// switch: K = 1, weight = the router's softmax probability over all experts, capacity ceil(factor * T / E)
// with factor 1 unless given; a token over capacity passes through the residual (Switch Transformer, Fedus,
// Zoph, Shazeer 2021, section 2.1).
#include <cmath>

#include "moe/strategies/tools.h"

namespace oxidized {
namespace {

class Switch final : public RoutingStrategy {
 public:
  const char* name() const override { return "switch"; }
  const char* summary() const override {
    return "one expert, weighted by the full softmax, drops over capacity";
  }
  int32_t ExpertsPerToken(int32_t) const override { return 1; }
  bool DependsOnStep(const RoutingPolicy&) const override { return true; }

  void Route(const RoutingPolicy& policy, int32_t k, const RouterRows& rows,
             const RoutedRows& out) const override {
    CapacityLoad load(policy.capacity_factor.value_or(1.0), rows.tokens(), k, rows.usable);
    for (int64_t t = 0; t < rows.tokens(); ++t) {
      const RankedExpert best = RankExperts(rows.row(t), 1).front();
      if (!load.Take(best.expert)) {
        out.dropped[static_cast<size_t>(t)] = 1;
        continue;
      }
      float sum = 0.0f;
      for (const float logit : rows.row(t)) sum += std::exp(logit - best.logit);
      out.experts[static_cast<size_t>(t * out.stride)] = best.expert;
      out.weights[static_cast<size_t>(t * out.stride)] = 1.0f / sum;
    }
  }
};

}  // namespace

const RoutingStrategy& SwitchRouting() {
  static const Switch strategy;
  return strategy;
}

}  // namespace oxidized
