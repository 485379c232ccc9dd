// Options of routing, for every command that lets it differ from the model's own (docs/moe.md).
#include "base/log.h"
#include "base/printable.h"
#include "cli/options/command.h"

namespace oxidized::cli {
namespace {

std::map<std::string, const RoutingStrategy*> Strategies() {
  std::map<std::string, const RoutingStrategy*> strategies;
  for (const RoutingStrategy* strategy : RoutingStrategies()) strategies[strategy->name()] = strategy;
  return strategies;
}

}  // namespace

void AddRoutingOptions(Command& c, RoutingPolicy& routing, ExpertMemoryOptions& experts) {
  c.Add("--num-experts", Number(routing.num_experts, 1, 1 << 20),
        "Only the first N experts may be chosen: an ablation");
  const Command::Given given = c.Add("--experts-per-token", Number(routing.experts_per_token, 1, 256, "K"),
                                     "Experts a token uses [the model's own]")
                                   .given();
  c.Add("--routing-strategy", Choice(routing.strategy, Strategies()),
        "topk is the model's own rule; the others change its answers");
  c.Add(
      "--expert-capacity-factor", Number(routing.capacity_factor, 1e-9, 1e9, "F"),
      "Limit of tokens an expert takes in one step, as a multiple of an even load [switch: 1.0, topk: none]; "
      "results then depend on --chunk-tokens");
  c.AfterParsing([&routing, &experts, given] {
    const RoutingStrategy& strategy = *routing.strategy;
    const int32_t k = strategy.ExpertsPerToken(routing.experts_per_token);
    if (given && k != routing.experts_per_token) {
      Log(LogLevel::kWarning, "--routing-strategy {} uses {} a token; --experts-per-token {} is ignored",
          strategy.name(), Counted(k, "expert"), routing.experts_per_token);
      routing.experts_per_token = k;
    }
    experts.experts_per_token = k;
    if (!strategy.uses_capacity() && routing.capacity_factor) {
      Log(LogLevel::kWarning, "--routing-strategy {} has no capacity; --expert-capacity-factor is ignored",
          strategy.name());
      routing.capacity_factor.reset();
    }
  });
}

}  // namespace oxidized::cli
