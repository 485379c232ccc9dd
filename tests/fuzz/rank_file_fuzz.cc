// Rank files of any content: accepted or refused with an Error; an accepted one encodes losslessly.
//
// `@` at the start stands for the lines of the 256 single bytes, ranks 0 to 255, without which no file is
// accepted.
#include <algorithm>
#include <cstdint>

#include "tokenizer_round_trip.h"

namespace {

const std::string& ByteLines() {
  static const std::string lines = [] {
    constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    for (int byte = 0; byte < 256; ++byte) {
      text += {kDigits[byte >> 2], kDigits[(byte & 3) << 4], '=', '=', ' '};
      text += std::to_string(byte) + '\n';
    }
    return text;
  }();
  return lines;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string ranks =
      input.starts_with('@') ? ByteLines() + std::string(input.substr(1)) : std::string(input);
  try {
    const auto tokenizer = oxidized::Tokenizer::FromRankFile(ranks, "fuzz");
    oxidized::CheckRoundTrip(*tokenizer, input.substr(0, 4096));
  } catch (const oxidized::Error&) {
  }
  return 0;
}
