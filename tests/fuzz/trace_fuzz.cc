// Any bytes as a routing trace: either an Error on one line, or records within the header's shape.
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "moe/trace.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace oxidized;
  try {
    const TraceReader reader(std::as_bytes(std::span(data, size)), "f");
    TraceRecord record;
    for (int64_t i = 0; i < std::min<int64_t>(reader.size(), 100); ++i) {
      reader.Read(i, record);
      for (const int32_t expert : record.experts) {
        if (expert < -1 || expert >= reader.header().shape.num_experts) std::abort();
      }
    }
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kBadFile || std::strchr(error.what(), '\n') != nullptr) std::abort();
  }
  return 0;
}
