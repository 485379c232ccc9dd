#include "hub/text.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "base/printable.h"

namespace oxidized::hub {

std::string NeutralizedLine(std::string_view text) {
  constexpr size_t kMost = 160;
  std::string one_line;
  for (const char c : text.substr(0, kMost)) one_line += c == '\n' || c == '\t' || c == '\r' ? ' ' : c;
  // Not in the middle of a character.
  if (text.size() > kMost) {
    while (!one_line.empty() && (static_cast<unsigned char>(one_line.back()) & 0xC0) == 0x80)
      one_line.pop_back();
    if (!one_line.empty() && static_cast<unsigned char>(one_line.back()) >= 0xC0) one_line.pop_back();
    one_line += "…";
  }
  return NeutralizeControls(one_line);
}

// A name has the one form that it has everywhere.
std::string Quoted(std::string_view text) {
  constexpr size_t kMost = 160;
  return "'" + EscapeUnprintable(text.substr(0, kMost)) + (text.size() > kMost ? "…'" : "'");
}

std::string Bytes(int64_t bytes) {
  constexpr std::array<const char*, 5> kUnits = {"B", "kB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 999.95 && unit + 1 < kUnits.size()) {
    value /= 1000.0;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string PercentEncoded(std::string_view text, bool keep_slash) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '~' || (c == '/' && keep_slash);
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

bool IsPlainRelativePath(std::string_view path) {
  constexpr size_t kLongestPath = 1024, kLongestPart = 200;  // room for suffixes below a file system's 255
  if (path.empty() || path.size() > kLongestPath) return false;
  for (const char c : path) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F || c == '\\') return false;
  }
  for (size_t at = 0; at <= path.size();) {
    const size_t end = std::min(path.find('/', at), path.size());
    const std::string_view part = path.substr(at, end - at);
    if (part.empty() || part == "." || part == ".." || part.size() > kLongestPart) return false;
    at = end + 1;
  }
  return true;
}

}  // namespace oxidized::hub
