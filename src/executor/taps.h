// Names of the intermediate values that executors can show, in the order in which a step makes them.
#pragma once

#include <string_view>

namespace oxidized::tap {

inline constexpr std::string_view kEmbedding = "embedding";           // [T, M], layer -1
inline constexpr std::string_view kAttentionNorm = "attention_norm";  // [T, M]
inline constexpr std::string_view kQuery = "query";                   // [T, H*D] after bias and rotation
inline constexpr std::string_view kKey = "key";                       // [T, G*D] after bias and rotation
inline constexpr std::string_view kValue = "value";                   // [T, G*D]
inline constexpr std::string_view kAttention = "attention";           // [T, H*D] before the output projection
inline constexpr std::string_view kAttentionOut = "attention_out";  // [T, M] output projection, bias included
inline constexpr std::string_view kAttentionResidual = "attention_residual";  // [T, M]
inline constexpr std::string_view kMlpNorm = "mlp_norm";                      // [T, M]
inline constexpr std::string_view kRouterLogits = "router_logits";            // [T, E]
inline constexpr std::string_view kMoeOut = "moe_out";                        // [T, M]
inline constexpr std::string_view kResidual = "residual";                     // [T, M] end of the layer
inline constexpr std::string_view kFinalNorm = "final_norm";                  // [T, M], layer -1
inline constexpr std::string_view kLogits = "logits";  // [T, V], layer -1; only rows that have logits

}  // namespace oxidized::tap
