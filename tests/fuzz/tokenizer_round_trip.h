// What must hold for every tokenizer that was accepted, shared by the two tokenizer fuzz targets.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8_stream.h"

namespace oxidized {

inline void CheckRoundTrip(const Tokenizer& tokenizer, std::string_view bytes) {
  const std::string text = RepairUtf8(bytes);
  const auto decode = [&](const std::vector<int32_t>& ids) {
    std::string decoded;
    for (const int32_t id : ids) {
      const auto token = tokenizer.TokenBytes(id);
      OX_CHECK(token && id < tokenizer.vocab_size());
      decoded += *token;
    }
    return decoded;
  };
  const std::vector<int32_t> ids = tokenizer.Encode(bytes);
  for (const int32_t id : ids) OX_CHECK(!tokenizer.IsSpecial(id));
  OX_CHECK(decode(ids) == text);
  OX_CHECK(decode(tokenizer.EncodeWithSpecials(bytes)) == text);

  Utf8Stream stream;
  std::string streamed;
  for (size_t at = 0; at < bytes.size(); at += 3) streamed += stream.Push(bytes.substr(at, 3));
  OX_CHECK(streamed + stream.Flush() == text);
}

}  // namespace oxidized
