// Any bytes as model.safetensors.index.json: either an Error(kBadFile), or plain file names.
#include <cstdlib>

#include "base/error.h"
#include "checkpoint/model_files.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace oxidized;
  try {
    const SafetensorsIndex index = ParseSafetensorsIndex({reinterpret_cast<const char*>(data), size}, "f");
    if (index.file_of_tensor.empty()) std::abort();
    for (const auto& [tensor, file] : index.file_of_tensor) {
      if (file.empty() || file == "." || file == ".." || file.find('/') != std::string::npos) std::abort();
    }
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kBadFile) std::abort();
  }
  return 0;
}
