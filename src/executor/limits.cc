#include "executor/limits.h"

#include "base/error.h"

namespace oxidized {

ExecutorInfo DeriveInfo(const ModelConfig& config, const KvLayout& layout, const ExecutorLimits& limits) {
  ExecutorInfo info;
  info.num_layers = config.num_layers;
  info.num_experts = config.most_experts();
  for (const LayerConfig& layer : config.layers) info.layer_experts.push_back(layer.num_experts);
  info.experts_per_token = config.experts_per_token;
  info.vocab_size = config.vocab_size;
  info.max_context = limits.max_context > 0 ? limits.max_context : config.max_context;
  info.max_sequences = limits.max_sequences;
  info.max_step_tokens = limits.max_step_tokens;
  if (info.max_context > config.max_context) {
    Fail(ErrorKind::kUsage, "a context of {} tokens was asked for, the model allows {}", info.max_context,
         config.max_context);
  }
  const int64_t kv_tokens = limits.kv_tokens > 0 ? limits.kv_tokens : info.max_context;
  for (const KvGroup& group : layout.groups) {
    // A sequence's first and last block may be partly used: one block more than the tokens need.
    const int64_t blocks =
        group.window == 0 ? BlocksFor(kv_tokens)
                          : 2 * info.max_sequences * (BlocksFor(group.window + info.max_step_tokens) + 1);
    info.kv_windows.push_back(group.window);
    info.kv_blocks.push_back(static_cast<int32_t>(blocks));
  }
  return info;
}

}  // namespace oxidized
