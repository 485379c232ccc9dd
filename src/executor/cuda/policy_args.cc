#include "executor/cuda/policy_args.h"

#include <algorithm>
#include <iterator>
#include <string_view>

#include "base/error.h"

namespace oxidized::cuda {
namespace {

struct RuleRow {
  const char* name;
  Rule rule;
};
constexpr RuleRow kRules[] = {{"topk", Rule::kTopK}, {"switch", Rule::kSwitch}, {"expert1", Rule::kExpert1}};

}  // namespace

std::vector<const RoutingStrategy*> KnownRules() {
  std::vector<const RoutingStrategy*> known;
  for (const RuleRow& row : kRules) known.push_back(FindRoutingStrategy(row.name));
  return known;
}

PolicyArgs PolicyArgsOf(const RoutingPolicy& policy, int32_t model_k) {
  const std::string_view name = policy.strategy->name();
  const auto row =
      std::find_if(std::begin(kRules), std::end(kRules), [&](const RuleRow& r) { return name == r.name; });
  OX_CHECK(row != std::end(kRules));  // ExecutorInfo::can says which there are
  PolicyArgs args = {};
  args.rule = row->rule;
  args.k = ExpertsPerToken(policy, model_k);
  args.usable = policy.num_experts;
  args.has_capacity =
      policy.strategy->uses_capacity() && (policy.capacity_factor.has_value() || args.rule == Rule::kSwitch);
  args.capacity_factor = policy.capacity_factor.value_or(1.0);
  return args;
}

}  // namespace oxidized::cuda
