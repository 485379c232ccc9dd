// The JSON files of OpenAI's original/ checkpoint layout: config.json (model dimensions in the names of
// openai/gpt-oss's own code) and dtypes.json. Functions on text, entry points of fuzz targets; they throw
// Error(kBadFile), `name` standing for the file.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "model/model_config.h"

namespace oxidized {

// Whether a config.json is of this layout rather than of Hugging Face: num_experts without model_type.
bool IsOriginalConfig(std::string_view json, const std::string& name);

// What the form has no field for is what openai/gpt-oss has as constants: the epsilon, the activation's
// alpha, even layers sliding, a context of rope_scaling_factor times initial_context_length.
ModelConfig ParseOriginalConfig(std::string_view json, const std::string& name);

// What a tensor's U8 or 16-bit container holds.
enum class OriginalType : uint8_t { kFp4, kUe8, kFloat };

// dtypes.json, by tensor: "FP4" (two values a byte), "UE8" (scales), or a float type such as "BF16".
using OriginalDtypes = std::map<std::string, OriginalType, std::less<>>;
OriginalDtypes ParseOriginalDtypes(std::string_view json, const std::string& name);

}  // namespace oxidized
