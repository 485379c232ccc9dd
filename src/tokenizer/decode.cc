#include "tokenizer/decode.h"

#include "base/error.h"
#include "tokenizer/utf8_stream.h"

namespace oxidized {

std::string Decode(std::span<const int32_t> ids, const Tokenizer& tokenizer) {
  std::string bytes;
  for (const int32_t id : ids) {
    const auto token = tokenizer.TokenBytes(id);
    if (!token)
      Fail(ErrorKind::kUsage, "id {} is not in the vocabulary (ids 0 to {})", id, tokenizer.vocab_size() - 1);
    bytes += *token;
  }
  return RepairUtf8(bytes);
}

}  // namespace oxidized
