// Which experts a token uses, and how much each counts. The rule is a property of a sequence; a step never
// mixes them.
//
//   topk     the model's own rule: the K highest router logits, weights their softmax over those K. Exact.
//   switch   K = 1, weight = the router's softmax probability over all experts, capacity ceil(factor * T /
//   E); a token
//            over capacity passes through the residual (Switch Transformer, Fedus et al. 2021).
//   expert1  K = 1, weight 1, no capacity.
// A capacity given explicitly for topk is ceil(factor * T * K / E): tokens are served in position order, each
// token's choices by descending logit (lowest id on ties); a token takes the next-ranked expert with room
// until it has K or none is left; its weights are the softmax over the logits of the experts finally used. T
// counts the tokens that one sequence adds in one step, never batch mates.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace oxidized {

enum class RoutingStrategy : uint8_t { kTopK, kSwitch, kExpert1 };

const char* Name(RoutingStrategy strategy);
std::optional<RoutingStrategy> ParseRoutingStrategy(std::string_view name);

struct RoutingPolicy {
  RoutingStrategy strategy = RoutingStrategy::kTopK;
  int32_t experts_per_token = 0;          // 0: the model's K; 1 for switch and expert1
  int32_t num_experts = 0;                // 0: all; N: only the first N may be chosen (an ablation)
  std::optional<double> capacity_factor;  // unset: 1.0 for switch, unlimited otherwise

  bool operator==(const RoutingPolicy&) const = default;
};

// K of this policy for a model with `model_k` experts a token.
int32_t ExpertsPerToken(const RoutingPolicy& policy, int32_t model_k);

// Where rows of one layer go. Rows have `stride` places; unused ones hold expert -1 and weight 0.
struct RoutedRows {
  int32_t stride = 0;           // >= K
  std::span<int32_t> experts;   // [T, stride] by rank
  std::span<float> weights;     // [T, stride]
  std::span<uint8_t> dropped;   // [T] choices that found no room at all
  std::span<uint8_t> rerouted;  // [T] choices that a lower-ranked expert took over
};

// Routes the T rows that one sequence adds in one step, in one layer. `logits` [T, E] router outputs, bias
// included.
void Route(const RoutingPolicy& policy, int32_t model_k, std::span<const float> logits, int32_t num_experts,
           const RoutedRows& out);

}  // namespace oxidized
