// The published Hugging Face form of a gpt-oss checkpoint, from a configuration: its tensors and its JSON
// files. The writing counterpart of hf_config and hf_weights; synth, tests and converters use it.
#pragma once

#include <string>
#include <vector>

#include "model/model_config.h"
#include "rewrite/writer.h"

namespace oxidized {

// 19 L + 3 tensors: MXFP4 experts as U8 blocks and scales, all else BF16.
std::vector<TensorSpec> PublishedTensors(const ModelConfig& config);

// config.json with every field of the published one; generation_config.json.
std::string PublishedConfigJson(const ModelConfig& config);
std::string PublishedGenerationConfigJson(const ModelConfig& config, int32_t bos_token_id);

}  // namespace oxidized
