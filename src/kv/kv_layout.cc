#include "kv/kv_layout.h"

#include <set>

namespace oxidized {

KvLayout::KvLayout(const ModelConfig& config)
    : group_of_layer(static_cast<size_t>(config.num_layers)),
      index_in_group(static_cast<size_t>(config.num_layers)) {
  std::set<int32_t> windows;  // 0, all, comes first
  for (const LayerConfig& layer : config.layers) windows.insert(layer.window.value_or(0));
  for (const int32_t window : windows) {
    KvGroup group{window, {}};
    for (int32_t layer = 0; layer < config.num_layers; ++layer) {
      if (config.layer(layer).window.value_or(0) != window) continue;
      group_of_layer[static_cast<size_t>(layer)] = static_cast<int32_t>(groups.size());
      index_in_group[static_cast<size_t>(layer)] = static_cast<int32_t>(group.layers.size());
      group.layers.push_back(layer);
    }
    groups.push_back(std::move(group));
  }
}

}  // namespace oxidized
