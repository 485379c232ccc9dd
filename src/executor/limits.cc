#include "executor/limits.h"

#include <algorithm>

#include "base/error.h"

namespace oxidized {
namespace {

constexpr int64_t kMoreWindows = 4;  // kept besides one for each slot: of shared system messages

// The window behind the next row of a sequence, which may begin and end in the middle of a block, and the
// block that it writes. Rows of a step are shared out among the sequences, so they count once, and once more
// for a second step in flight.
int64_t SlidingBlocks(int64_t window, const ExecutorInfo& info) {
  const int64_t behind = BlocksFor(window - 1) + 1;
  return info.max_sequences * (behind + 1) + 2 * BlocksFor(info.max_step_tokens) +
         (info.max_sequences + kMoreWindows) * behind;
}

}  // namespace

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
    throw Error(ErrorKind::kUsage, {.setting = Setting::kContext,
                                    .value = std::to_string(info.max_context),
                                    .found = fmt::format("the model allows {} tokens", config.max_context)});
  }
  const int64_t kv_tokens = std::max(limits.kv_tokens, info.max_context);
  for (const KvGroup& group : layout.groups) {
    const int64_t blocks = group.window == 0 ? BlocksFor(kv_tokens) : SlidingBlocks(group.window, info);
    info.kv_windows.push_back(group.window);
    info.kv_blocks.push_back(static_cast<int32_t>(blocks));
  }
  return info;
}

}  // namespace oxidized
