#include "base/printable.h"

namespace oxidized {

std::string NeutralizeControls(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0;
    if (c == 0x7F) {
      out += "\u2421";
    } else if (c < 0x20 && c != '\n' && c != '\t') {  // U+2400.. are pictures of the controls
      out += {static_cast<char>(0xE2), static_cast<char>(0x90), static_cast<char>(0x80 + c)};
    } else if (c == 0xC2 && next >= 0x80 && next < 0xA0) {  // U+0080..U+009F: C1 controls
      out += "\uFFFD";
      ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace oxidized
