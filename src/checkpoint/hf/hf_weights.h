// Binds the tensors of a Hugging Face gpt-oss checkpoint to a WeightsView: every name and shape follows from
// the configuration, nothing is copied, no value is read.
#pragma once

#include <string>

#include "checkpoint/hf/hf_config.h"
#include "checkpoint/model_files.h"
#include "model/weights.h"

namespace oxidized {

struct HfWeights {
  WeightsView view;         // into the files of the ModelFiles bound
  bool mxfp4 = false;       // some expert matrix is MXFP4 (the published form)
  bool transposed = false;  // some expert matrix is dequantised
};

// Throws Error(kBadFile) listing the first tensors that are missing or of another shape or type,
// Error(kUnsupported) for exports whose experts are stored one by one. Tensors that no part of the model uses
// give one warning line.
HfWeights BindHfWeights(const HfConfig& config, const ModelFiles& files, const std::string& source);

}  // namespace oxidized
