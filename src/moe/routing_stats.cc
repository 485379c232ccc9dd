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

}  // namespace oxidized
