#include "checkpoint/message_text.h"

#include <algorithm>

#include "base/printable.h"

namespace oxidized {

std::string Quoted(std::string_view text) {
  constexpr size_t kLongest = 120;
  size_t end = std::min(text.size(), kLongest);
  if (end < text.size()) {  // not in the middle of a character
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  }
  return "\"" + EscapeUnprintable(text.substr(0, end)) + (end < text.size() ? "…\"" : "\"");
}

}  // namespace oxidized
