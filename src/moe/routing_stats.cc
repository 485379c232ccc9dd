#include "moe/routing_stats.h"

namespace oxidized {

RoutingStats::RoutingStats(int32_t num_layers, int32_t num_experts)
    : layers_(static_cast<size_t>(num_layers)) {
  for (LayerRouting& layer : layers_) layer.counts.assign(static_cast<size_t>(num_experts), 0);
}

void RoutingStats::Add(int32_t layer, const RoutedRows& rows) {
  LayerRouting& into = layers_[static_cast<size_t>(layer)];
  for (const int32_t expert : rows.experts) {
    if (expert >= 0) ++into.counts[static_cast<size_t>(expert)];
  }
  for (const uint8_t dropped : rows.dropped) into.dropped += dropped;
  for (const uint8_t rerouted : rows.rerouted) into.rerouted += rerouted;
}

void RoutingStats::Add(const RoutingStats& other) {
  if (layers_.empty()) {
    layers_ = other.layers_;
    return;
  }
  for (size_t l = 0; l < other.layers_.size(); ++l) {
    LayerRouting& into = layers_[l];
    const LayerRouting& from = other.layers_[l];
    for (size_t e = 0; e < from.counts.size(); ++e) into.counts[e] += from.counts[e];
    into.dropped += from.dropped;
    into.rerouted += from.rerouted;
  }
}

}  // namespace oxidized
