// A tokenizer for tests and fuzz targets: one token for each byte, and Harmony's special tokens with their
// published ids. Every token that is part of a character or of a word arrives alone, which is the hardest
// case for a stream.
#pragma once

#include <fmt/core.h>

#include <memory>
#include <string>

#include "tokenizer/tokenizer.h"

namespace oxidized {

inline std::unique_ptr<Tokenizer> MakeByteTokenizer(bool with_specials = true) {
  // GPT-2's text for bytes: printable ones stand for themselves, the others follow from U+0100 on.
  std::string vocab;
  int moved = 0;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    vocab += fmt::format("{}\"\\u{:04x}\":{}", byte ? "," : "", printable ? byte : 0x100 + moved++, byte);
  }
  constexpr std::pair<int, const char*> kSpecials[] = {
      {199999, "endoftext"}, {200000, "reserved_200000"}, {200002, "return"},
      {200003, "constrain"}, {200005, "channel"},         {200006, "start"},
      {200007, "end"},       {200008, "message"},         {200012, "call"}};
  std::string added;
  for (const auto& [id, name] : kSpecials) {
    if (!with_specials) break;
    added +=
        fmt::format(R"({}{{"id":{},"content":"<|{}|>","special":true}})", added.empty() ? "" : ",", id, name);
  }
  return Tokenizer::FromTokenizerJson(
      fmt::format(
          R"({{"added_tokens":[{}],"model":{{"type":"BPE","vocab":{{{}}},"merges":[]}},"pre_tokenizer":)"
          R"({{"type":"Sequence","pretokenizers":[{{"type":"Split","pattern":{{"Regex":"\\s+|\\S+"}},)"
          R"("behavior":"Isolated","invert":false}},)"
          R"({{"type":"ByteLevel","add_prefix_space":false,"use_regex":false}}]}}}})",
          added, vocab),
      "byte tokenizer");
}

}  // namespace oxidized
