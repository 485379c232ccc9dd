// What the router did, counted: per layer and expert. Observing never changes results.
#pragma once

#include <cstdint>
#include <vector>

#include "moe/routing_policy.h"

namespace oxidized {

struct LayerRouting {
  std::vector<int64_t> counts;  // [E] how many (token, rank) choices each expert served
  int64_t dropped = 0;
  int64_t rerouted = 0;
};

class RoutingStats {
 public:
  RoutingStats() = default;
  RoutingStats(int32_t num_layers, int32_t num_experts);

  void Add(int32_t layer, const RoutedRows& rows);
  void Add(const RoutingStats& other);  // of the same model; an empty one takes its shape
  const std::vector<LayerRouting>& layers() const { return layers_; }

 private:
  std::vector<LayerRouting> layers_;
};

}  // namespace oxidized
