// Which experts a token uses, and how much each counts. A RoutingStrategy is a rule; a RoutingPolicy is a
// rule with its parameters. The policy is a property of a sequence; a step never mixes them.
//
// The rules are files of strategies/, listed in strategies/table.cc; docs/moe.md says how to add one, and
// docs/adr/0008-routing-strategy-interface.md why it is done so.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace oxidized {

struct RoutingPolicy;

// Where rows of one layer go. Rows have `stride` places; unused ones hold expert -1 and weight 0.
struct RoutedRows {
  int32_t stride = 0;           // >= K
  std::span<int32_t> experts;   // [T, stride] by rank
  std::span<float> weights;     // [T, stride]
  std::span<uint8_t> dropped;   // [T] choices that found no room at all
  std::span<uint8_t> rerouted;  // [T] choices that a lower-ranked expert took over
};

// What the router said about the T rows that one sequence adds in one step, in one layer.
struct RouterRows {
  std::span<const float> logits;  // [T, E], bias included
  int32_t num_experts = 0;        // E
  int32_t usable = 0;             // only experts 0 .. usable-1 may be chosen

  int64_t tokens() const { return static_cast<int64_t>(logits.size()) / num_experts; }
  // The logits of row t that count.
  std::span<const float> row(int64_t t) const {
    return logits.subspan(static_cast<size_t>(t * num_experts), static_cast<size_t>(usable));
  }
};

// One rule. Stateless: Route is called for every layer, step and sequence, from any thread, and must depend
// on its arguments alone. It must not allocate once it has seen the largest step.
class RoutingStrategy {
 public:
  virtual ~RoutingStrategy() = default;
  virtual const char* name() const = 0;     // as --routing-strategy takes it
  virtual const char* summary() const = 0;  // for help and docs, a few words
  // K, when the request or else the model asks for `asked`.
  virtual int32_t ExpertsPerToken(int32_t asked) const { return asked; }
  virtual bool uses_capacity() const {
    return true;
  }  // whether RoutingPolicy::capacity_factor means something
  // Whether what one row gets can depend on the other rows of its step. Such results change with the way a
  // prompt is cut into steps, and their KV is not shared between requests.
  virtual bool DependsOnStep(const RoutingPolicy& policy) const = 0;
  // Fills `out`, which arrives empty (experts -1, the rest 0). 1 <= k <= rows.usable, k <= out.stride.
  virtual void Route(const RoutingPolicy& policy, int32_t k, const RouterRows& rows,
                     const RoutedRows& out) const = 0;
};

// All rules; the first is the model's own.
std::span<const RoutingStrategy* const> RoutingStrategies();
const RoutingStrategy* FindRoutingStrategy(std::string_view name);  // nullptr: there is none of that name
const RoutingStrategy& TopKRouting();                               // the model's own rule

struct RoutingPolicy {
  const RoutingStrategy* strategy = &TopKRouting();  // never null
  int32_t experts_per_token = 0;                     // 0: the model's K; rules of one expert ignore it
  int32_t num_experts = 0;                // 0: all; N: only the first N may be chosen (an ablation)
  std::optional<double> capacity_factor;  // unset: what the rule does without one

  bool operator==(const RoutingPolicy&) const = default;
};

// K of this policy for a model with `model_k` experts a token.
int32_t ExpertsPerToken(const RoutingPolicy& policy, int32_t model_k);

// How many of a model's experts this policy may choose from.
int32_t UsableExperts(const RoutingPolicy& policy, int32_t num_experts);

// Routes the T rows that one sequence adds in one step, in one layer. `logits` [T, E].
void Route(const RoutingPolicy& policy, int32_t model_k, std::span<const float> logits, int32_t num_experts,
           const RoutedRows& out);

}  // namespace oxidized
