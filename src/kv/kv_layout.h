// How the KV cache is cut into blocks. Layers of one window form a group with its own pool: full-attention
// layers keep every position, sliding layers only the last `window`; published models have two groups. A
// block holds B consecutive positions of all layers of its group; what a block's bytes look like is the
// executor's business.
#pragma once

#include <cstdint>
#include <vector>

#include "model/model_config.h"

namespace oxidized {

inline constexpr int32_t kKvBlockTokens = 32;  // B

struct KvGroup {
  int32_t window = 0;           // keys a query sees, itself included; 0: all
  std::vector<int32_t> layers;  // model layer numbers, ascending
};

struct KvLayout {
  std::vector<KvGroup> groups;          // full group first, then by window
  std::vector<int32_t> group_of_layer;  // [L]
  std::vector<int32_t> index_in_group;  // [L]

  explicit KvLayout(const ModelConfig& config);
};

inline int64_t BlocksFor(int64_t tokens) { return (tokens + kKvBlockTokens - 1) / kKvBlockTokens; }

}  // namespace oxidized
