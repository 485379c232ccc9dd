// Bytes and operations of one token, from the shapes alone: what every measured figure is held against.
#pragma once

#include <cstdint>

#include "model/weights.h"

namespace oxidized {

struct ModelCosts {
  int64_t parameters = 0;
  int64_t weight_bytes = 0;   // everything stored
  int64_t expert_bytes = 0;   // all experts of all layers
  int64_t decode_bytes = 0;   // weights read for one decoded token (batch 1), without its embedding row
  int64_t decode_flops = 0;   // 2 per multiply-add, unembedding included, attention scores not
  int64_t prefill_flops = 0;  // the same without the unembedding
  int64_t kv_elements_per_token = 0;  // per layer: 2 * G * D
};

ModelCosts ComputeCosts(const ModelConfig& config, const WeightsView& weights);

}  // namespace oxidized
