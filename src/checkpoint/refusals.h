// Models that are not gpt-oss in a form this program reads, told apart well enough to say what they are and
// what to do. Tables of known marks; every function here throws Error or finds nothing.
//
// Error(kUnsupported) for what is a model in another form, Error(kBadFile) for what is none.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "checkpoint/model_files.h"

namespace oxidized {

// A file that is neither safetensors nor GGUF.
[[noreturn]] void RefuseFile(const std::filesystem::path& path);

// A folder without config.json, GGUF file or original/ checkpoint.
[[noreturn]] void RefuseFolder(const std::filesystem::path& folder);

// A folder with a config.json but no .safetensors file.
[[noreturn]] void RefuseWithoutWeights(const std::filesystem::path& folder);

// A quantisation other than MXFP4. `method`: quant_method, maybe empty; `field` gives the text of another
// field of the same object, empty if it is not there; `where` names the object: "config.json:
// quantization_config.".
[[noreturn]] void RefuseQuantisation(const std::string& method,
                                     const std::function<std::string(const char*)>& field,
                                     const std::string& where);

// A tensor of 8-bit floats, of the type called `type`.
[[noreturn]] void RefuseFp8(const std::string& source, const std::string& tensor, const std::string& type);
// Returns if there is none of them.
void RefuseFp8Tensors(const ModelFiles& files, const std::string& source);

// Tensors that only another layout than Hugging Face's has, those of 8-bit floats among them. Returns if
// there are none.
void RefuseForeignTensors(const ModelFiles& files, const std::string& source);

}  // namespace oxidized
