#include "harmony/tokens.h"

#include "base/error.h"
#include "tokenizer/utf8_stream.h"

namespace oxidized {

HarmonyTokens HarmonyTokens::Resolve(const Tokenizer& tokenizer) {
  const auto required = [&](std::string_view name) {
    const auto id = tokenizer.SpecialId(name);
    if (!id) {
      Fail(ErrorKind::kBadFile,
           "tokenizer: no special token {}, expected a vocabulary with the Harmony markers", name);
    }
    return *id;
  };
  HarmonyTokens tokens{};
  tokens.start = required("<|start|>");
  tokens.end = required("<|end|>");
  tokens.message = required("<|message|>");
  tokens.channel = required("<|channel|>");
  tokens.constrain = required("<|constrain|>");
  tokens.return_ = required("<|return|>");
  tokens.call = required("<|call|>");
  tokens.end_of_text = tokenizer.SpecialId("<|endoftext|>").value_or(-1);
  while (!tokenizer.IsSpecial(tokens.first_special)) ++tokens.first_special;  // ends: the markers are special
  return tokens;
}

std::string ToText(std::span<const int32_t> ids, const Tokenizer& tokenizer) {
  std::string bytes;
  for (const int32_t id : ids) bytes += tokenizer.TokenBytes(id).value_or("\uFFFD");
  return RepairUtf8(bytes);
}

}  // namespace oxidized
