// config.json and generation_config.json of a Hugging Face gpt-oss folder -> ModelConfig.
//
// Functions on text (entry points of the fuzz target). Both forms of the rope fields are read: `rope_scaling`
// beside a top-level `rope_theta`, and transformers 5's `rope_parameters`. Throws Error(kBadFile) for damage
// and another model, Error(kUnsupported) for gpt-oss in a form this version cannot run; `name` stands for the
// file in both.
#pragma once

#include <string>
#include <string_view>

#include "model/model_config.h"

namespace oxidized {

struct HfConfig {
  ModelConfig model;             // validated
  bool tied_embeddings = false;  // lm_head.weight may be absent: the embedding serves
  bool claims_mxfp4 = false;     // quantization_config says so; the tensors decide
};

HfConfig ParseHfConfig(std::string_view json, const std::string& name);

// Puts the end-of-sequence ids of generation_config.json before those of config.json.
void AddGenerationConfig(std::string_view json, const std::string& name, ModelConfig& config);

}  // namespace oxidized
