#include "checkpoint/message_text.h"

#include <fmt/core.h>

namespace oxidized {

std::string Quoted(std::string_view text) {
  constexpr size_t kLongest = 120;
  std::string quoted = "\"";
  for (const char c : text.substr(0, kLongest)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) {
      quoted += fmt::format("\\x{:02x}", byte);
    } else {
      quoted += c;
    }
  }
  return quoted + (text.size() > kLongest ? "…\"" : "\"");
}

}  // namespace oxidized
