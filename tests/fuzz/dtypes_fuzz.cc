// Any bytes as dtypes.json and as config.json of OpenAI's original/ layout: either an Error(kBadFile, or
// kUnsupported for FP8) on one line, or tensor types, or a valid configuration.
#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "checkpoint/original/original_config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace oxidized;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto attempt = [](const auto& action) {
    try {
      action();
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kBadFile && error.kind() != ErrorKind::kUnsupported) std::abort();
      if (std::strchr(error.what(), '\n') != nullptr) std::abort();
    }
  };
  attempt([&] { ParseOriginalDtypes(text, "f"); });
  attempt([&] { IsOriginalConfig(text, "f"); });
  attempt([&] { ValidateConfig(ParseOriginalConfig(text, "f"), "f"); });
  return 0;
}
