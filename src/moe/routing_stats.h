// What the router did, counted: per layer and expert, prefill and decode apart. Sums only, so that two can be
// added; the figures made of them are in routing_metrics.h. Observing never changes results.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "moe/routing_observer.h"

namespace oxidized {

// Gaps below which a token counts as a near tie.
inline constexpr std::array<float, 4> kNearTieMargins = {0.001f, 0.01f, 0.1f, 1.0f};

// What the router's logits say beyond the choice; sums over the tokens whose logits are all finite.
struct RouterDetail {
  int64_t tokens = 0;
  int64_t not_finite = 0;           // tokens that are left out
  std::vector<double> probability;  // [E] softmax over the experts that may be chosen
  double entropy = 0.0;             // nats, of each token's softmax
  // The margin of a token: its K-th highest logit less the next one. A small one is a choice that rounding
  // may turn.
  int64_t margins = 0;  // tokens that have one: K below the experts that may be chosen
  double margin = 0.0;
  float smallest_margin = std::numeric_limits<float>::infinity();
  std::array<int64_t, kNearTieMargins.size()> near_ties = {};

  void Add(const RouterDetail& other);
};

struct LayerRouting {
  std::vector<int64_t> counts;  // [E of the layer] how many (token, rank) choices each expert served
  int64_t tokens = 0;
  int64_t dropped = 0;
  int64_t rerouted = 0;
  // Of a detailed RoutingStats alone, else empty.
  std::vector<int64_t> pairs;  // [E (E-1) / 2] tokens served by both experts of a pair, as PairIndex
  RouterDetail router;

  void Add(const LayerRouting& other);  // takes over what it lacks
};

// Of the pair a < b among E experts: row by row of the upper triangle.
inline size_t PairIndex(int32_t a, int32_t b, int32_t num_experts) {
  const auto x = static_cast<size_t>(a), y = static_cast<size_t>(b), e = static_cast<size_t>(num_experts);
  return x * (2 * e - x - 1) / 2 + (y - x - 1);
}

class RoutingStats {
 public:
  RoutingStats() = default;
  // Counts alone: some integers for each row and layer. `layer_experts` [L], or empty: E in each layer.
  RoutingStats(int32_t num_layers, int32_t num_experts, std::span<const int32_t> layer_experts = {});
  // Also pairs and, of rows that come with logits, RouterDetail.
  static RoutingStats Detailed(const RoutingShape& shape);

  // `logits` [R, E], or empty.
  void Add(RoutingPhase phase, int32_t layer, const RoutedRows& rows, std::span<const float> logits = {});
  void Add(const ObservedRows& rows);
  void Add(const RoutingStats& other);  // of the same model; an empty one takes its shape

  const std::vector<LayerRouting>& phase(RoutingPhase phase) const {
    return phases_[static_cast<size_t>(phase)];
  }
  std::vector<LayerRouting> layers() const;  // both phases
  int32_t num_layers() const { return static_cast<int32_t>(phases_[0].size()); }
  bool detailed() const { return detail_.has_value(); }

 private:
  std::array<std::vector<LayerRouting>, kRoutingPhases> phases_;  // [L] each
  std::optional<RoutingShape> detail_;
};

// Adds what one token's router said; of logits that are not all finite, only that there were some. `logits`
// of the experts that may be chosen.
void AddRouterDetail(std::span<const float> logits, int32_t k, RouterDetail& into);

// The K-th highest logit less the next one; infinity if no expert is left over; NaN if a logit is not finite.
float RouterMargin(std::span<const float> logits, int32_t k);

}  // namespace oxidized
