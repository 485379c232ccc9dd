// The JSON files of OpenAI's original/ form, from a configuration and its tensors.
#pragma once

#include <string>
#include <vector>

#include "model/model_config.h"
#include "rewrite/tensor_layout.h"

namespace oxidized {

// config.json as published (docs/weights.md). Throws Error(kUnsupported) for what the form has no field for.
std::string OriginalConfigJson(const ModelConfig& config);
// dtypes.json: "BF16", "FP4" and "UE8" by tensor.
std::string OriginalDtypesJson(const std::vector<LayoutTensor>& tensors);

}  // namespace oxidized
