// expert1: K = 1, weight 1, no capacity.
#include "moe/strategies/tools.h"

namespace oxidized {
namespace {

class Expert1 final : public RoutingStrategy {
 public:
  const char* name() const override { return "expert1"; }
  const char* summary() const override { return "the best expert alone, weight 1"; }
  int32_t ExpertsPerToken(int32_t) const override { return 1; }
  bool uses_capacity() const override { return false; }
  bool DependsOnStep(const RoutingPolicy&) const override { return false; }

  void Route(const RoutingPolicy&, int32_t, const RouterRows& rows, const RoutedRows& out) const override {
    for (int64_t t = 0; t < rows.tokens(); ++t) {
      out.experts[static_cast<size_t>(t * out.stride)] = RankExperts(rows.row(t), 1).front().expert;
      out.weights[static_cast<size_t>(t * out.stride)] = 1.0f;
    }
  }
};

}  // namespace

const RoutingStrategy& Expert1Routing() {
  static const Expert1 strategy;
  return strategy;
}

}  // namespace oxidized
