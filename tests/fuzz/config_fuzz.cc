// Any bytes as config.json and as generation_config.json: either an Error on one line, or a valid
// configuration.
#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "checkpoint/hf/hf_config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace oxidized;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  ModelConfig config;
  const auto attempt = [](const auto& action) {
    try {
      action();
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kBadFile && error.kind() != ErrorKind::kUnsupported) std::abort();
      if (std::strchr(error.what(), '\n') != nullptr) std::abort();
    }
  };
  attempt([&] {
    config = ParseHfConfig(text, "f").model;
    ValidateConfig(config, "f");
  });
  attempt([&] { AddGenerationConfig(text, "f", config); });
  return 0;
}
