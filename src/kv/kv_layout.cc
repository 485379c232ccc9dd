#include "kv/kv_layout.h"

namespace oxidized {

KvLayout::KvLayout(const ModelConfig& config)
    : group_of_layer(static_cast<size_t>(config.num_layers)),
      index_in_group(static_cast<size_t>(config.num_layers)) {
  for (const LayerKind kind : {LayerKind::kFull, LayerKind::kSliding}) {
    KvGroup group{kind, kind == LayerKind::kSliding ? config.sliding_window : 0, {}};
    for (int32_t layer = 0; layer < config.num_layers; ++layer) {
      if (config.layers[static_cast<size_t>(layer)] != kind) continue;
      group_of_layer[static_cast<size_t>(layer)] = static_cast<int32_t>(groups.size());
      index_in_group[static_cast<size_t>(layer)] = static_cast<int32_t>(group.layers.size());
      group.layers.push_back(layer);
    }
    if (!group.layers.empty()) groups.push_back(std::move(group));
  }
}

}  // namespace oxidized
