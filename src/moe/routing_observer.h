// How routing is watched: the engine shows each observer of a request the rows that the request computed in a
// step, once each (rows computed again after a preemption are not shown again; a prefix taken from kept KV is
// never computed, so never shown). On the engine's thread, between steps: observers need no locks, and cannot
// change a result.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "model/model_config.h"
#include "moe/routing_policy.h"

namespace oxidized {

// Rows of the prompt, and rows of tokens that were generated or forced.
enum class RoutingPhase : uint8_t { kPrefill, kDecode };
inline constexpr int kRoutingPhases = 2;
const char* Name(RoutingPhase phase);

// What an observer has to know of the model and of the policy.
struct RoutingShape {
  int32_t num_layers = 0;                   // L
  int32_t num_experts = 0;                  // E: the most that a layer has
  int32_t experts_per_token = 0;            // K of the policy
  int32_t usable_experts = 0;               // only experts below this may be chosen
  std::vector<int32_t> layer_experts = {};  // [L]; empty: each layer has E

  int32_t experts_of(size_t layer) const {
    return layer_experts.empty() ? num_experts : layer_experts[layer];
  }
  int32_t usable_of(size_t layer) const { return std::min(usable_experts, experts_of(layer)); }
  bool operator==(const RoutingShape&) const = default;
};
RoutingShape ShapeOf(const RoutingPolicy& policy, int32_t num_layers, int32_t num_experts, int32_t model_k);
RoutingShape ShapeOf(const RoutingPolicy& policy, const ModelConfig& config);

// R rows of one sequence and one phase. The spans live until the call returns.
struct ObservedRows {
  uint64_t sequence = 0;
  int64_t step = 0;  // of the engine; rows of one step went through each layer together
  RoutingPhase phase = RoutingPhase::kPrefill;
  int64_t first_position = 0;
  std::span<const int32_t> tokens;     // [R]
  std::span<const RoutedRows> layers;  // [L], of R rows each
  std::span<const std::span<const float>>
      logits;  // [L] of [R, E], -infinity for
               // experts that a layer does not have; empty if no observer wants them
};

class RoutingObserver {
 public:
  virtual ~RoutingObserver() = default;
  virtual bool wants_logits() const { return true; }
  virtual void OnRows(const ObservedRows& rows) = 0;
};

}  // namespace oxidized
