// Binds the tensors of OpenAI's original/ layout to a WeightsView. Against the Hugging Face form the names
// differ and q, k and v lie in one matrix; blocks, scales and all values are the same bits.
#pragma once

#include <string>

#include "checkpoint/model_files.h"
#include "checkpoint/original/original_config.h"
#include "model/weights.h"

namespace oxidized {

// `dtypes`: of dtypes.json; tensors that it lacks speak for themselves. Throws Error(kBadFile) listing the
// first tensors that are missing or of another shape or type, or of another type than `dtypes` says.
WeightsView BindOriginalWeights(const ModelConfig& config, const ModelFiles& files,
                                const OriginalDtypes& dtypes, const std::string& source);

}  // namespace oxidized
