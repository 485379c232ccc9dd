// tokenizer.json of any content: accepted or refused with an Error; an accepted one encodes losslessly.
//
// A file needs 256 byte tokens before it is accepted, which mutation seldom keeps whole, so `@B` in the input
// stands for them: "vocab":{@B,"ab":256}. The scan that recognises the published file sees every input too.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "tokenizer/o200k.h"
#include "tokenizer_round_trip.h"

namespace {

const std::string& ByteTokens() {
  static const std::string tokens = [] {
    std::string text;
    for (int id = 0; id < 256; ++id) {
      const int character = id < 94    ? 0x21 + id
                            : id < 106 ? 0xA1 + id - 94
                            : id < 188 ? 0xAE + id - 106
                                       : 0x100 + id - 188;
      text += id == 0 ? "\"" : ",\"";
      if (character == '"' || character == '\\') text += '\\';
      if (character < 0x80) {
        text += static_cast<char>(character);
      } else {
        text += static_cast<char>(0xC0 | character >> 6);
        text += static_cast<char>(0x80 | (character & 0x3F));
      }
      text += "\":" + std::to_string(id);
    }
    return text;
  }();
  return tokens;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  std::string json(input);
  if (const size_t at = json.find("@B"); at != std::string::npos) json.replace(at, 2, ByteTokens());
  static const oxidized::TokenTable o200k = oxidized::O200kTokens();
  const std::vector<char> exact(json.begin(), json.end());  // nothing readable behind it
  oxidized::WithoutO200kTables({exact.data(), exact.size()}, o200k);
  try {
    const auto tokenizer = oxidized::Tokenizer::FromTokenizerJson(json, "fuzz");
    oxidized::CheckRoundTrip(*tokenizer, input.substr(input.size() - std::min<size_t>(input.size(), 600)));
  } catch (const oxidized::Error&) {
  }
  return 0;
}
