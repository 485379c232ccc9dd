// Rotary frequencies with YaRN, exactly as the reference computes them (openai/gpt-oss torch/model.py, and
// transformers modeling_rope_utils.py for the guards).
#pragma once

#include <vector>

#include "model/model_config.h"

namespace oxidized {

struct RopeFrequencies {
  std::vector<float> inv_freq;  // [D/2] radians per position; pair i rotates elements i and i + D/2
  float concentration;          // multiplies cos and sin, of q and of k
};

RopeFrequencies ComputeRopeFrequencies(const RopeConfig& rope, int32_t head_dim);

// cos and sin [D/2] at an absolute position, concentration included. The angle is position * inv_freq with
// one f32 rounding, like the reference; cos and sin are those of that f32 angle, correctly range-reduced.
void RopeCosSin(const RopeFrequencies& frequencies, int64_t position, float* cos_out, float* sin_out);

}  // namespace oxidized
