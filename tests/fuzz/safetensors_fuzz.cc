// Any bytes as a safetensors file: either an Error(kBadFile), or entries that lie inside the file.
#include <cstdlib>

#include "base/error.h"
#include "checkpoint/hf/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace oxidized;
  try {
    int64_t at = -1;
    for (const SafetensorsEntry& entry :
         ParseSafetensors({reinterpret_cast<const std::byte*>(data), size}, "f")) {
      if (at >= 0 && entry.begin != at) std::abort();
      if (entry.begin < 8 || entry.end < entry.begin) std::abort();
      if (entry.name.size() > kMaxTensorNameBytes || entry.shape.size() > kMaxTensorRank) std::abort();
      at = entry.end;
    }
    if (at >= 0 && at != static_cast<int64_t>(size)) std::abort();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kBadFile) std::abort();
  }
  return 0;
}
