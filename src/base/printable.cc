#include "base/printable.h"

#include <fmt/format.h>

#include "base/utf8.h"

namespace oxidized {
namespace {

struct Unprintable {
  unsigned code;
  size_t bytes;  // of its UTF-8; 0: the text there prints
};

// C0, DEL, C1, and U+202A..U+202E, U+2066..U+2069: the directional embeddings, overrides and isolates. The
// marks (U+200E, U+200F, U+061C) reorder nothing but themselves and are usual in text.
Unprintable At(std::string_view text, size_t i) {
  const auto byte = [&](size_t at) {
    return at < text.size() ? static_cast<unsigned>(static_cast<unsigned char>(text[at])) : 0u;
  };
  const unsigned first = byte(i), second = byte(i + 1), third = byte(i + 2);
  if (first < 0x20 || first == 0x7F) return {first, 1};
  if (first < 0x80) return {0, 0};
  if (first == 0xC2 && second >= 0x80 && second < 0xA0) return {second, 2};
  if (NextUtf8(text.substr(i)).kind != Utf8Unit::Kind::kValid) return {first, 1};
  if (first != 0xE2) return {0, 0};
  const bool override = second == 0x80 && third >= 0xAA && third <= 0xAE;
  const bool isolate = second == 0x81 && third >= 0xA6 && third <= 0xA9;
  if (!override && !isolate) return {0, 0};
  return {0x2000u | (second & 0x3Fu) << 6 | (third & 0x3Fu), 3};
}

}  // namespace

std::string NeutralizeControls(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const auto [code, bytes] = At(text, i);
    if (bytes == 0) {
      const size_t length = NextUtf8(text.substr(i)).length;
      out += text.substr(i, length);
      i += length;
      continue;
    }
    if (code == '\n' || code == '\t') {
      out += text[i++];
      continue;
    }
    if (code == 0x7F) {
      out += "\u2421";
    } else if (code < 0x20) {  // U+2400.. are pictures of the controls
      out += {static_cast<char>(0xE2), static_cast<char>(0x90), static_cast<char>(0x80 + code)};
    } else {
      out += "\uFFFD";
    }
    i += bytes;
  }
  return out;
}

std::string EscapeUnprintable(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const auto [code, bytes] = At(text, i);
    if (bytes == 0) {
      const size_t length = NextUtf8(text.substr(i)).length;
      out += text.substr(i, length);
      i += length;
      continue;
    }
    out += code < 0x100 ? fmt::format("\\x{:02x}", code) : fmt::format("\\u{:04x}", code);
    i += bytes;
  }
  return out;
}

namespace {
// Of a byte of UTF-8: from U+1000 on a character may be wide, the first one that is being U+1100.
int CellsOf(unsigned char byte) { return (byte & 0xC0) == 0x80 ? 0 : byte >= 0xE1 ? 2 : 1; }
}  // namespace

std::string FitColumns(std::string_view text, int columns) {
  int used = 0;
  size_t fits = 0;  // bytes that leave a cell for the ellipsis
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool inside = (byte & 0xC0) == 0x80;
    if (!inside && used + 1 <= columns) fits = i;
    used += CellsOf(byte);
  }
  if (used <= columns) return std::string(text);
  return columns > 0 ? std::string(text.substr(0, fits)) + "…" : "";
}

std::string WrapColumns(std::string_view text, int columns) {
  std::string wrapped(text);
  int used = 0, since_space = 0;  // cells of the line, and those behind its last space
  size_t space = std::string::npos;
  for (size_t i = 0; i < wrapped.size(); ++i) {
    if (wrapped[i] == '\n') {
      used = 0;
      space = std::string::npos;
      continue;
    }
    const int cells = CellsOf(static_cast<unsigned char>(wrapped[i]));
    used += cells;
    since_space += cells;
    if (wrapped[i] == ' ') {
      space = i;
      since_space = 0;
    }
    if (used <= columns || space == std::string::npos) continue;
    wrapped[space] = '\n';
    used = since_space;
    space = std::string::npos;
  }
  return wrapped;
}

std::string WrapBehind(std::string_view label, std::string_view text, int columns) {
  std::string lines(label);
  for (const char c : WrapColumns(text, columns - static_cast<int>(label.size()))) {
    lines += c;
    if (c == '\n') lines.append(label.size(), ' ');
  }
  return lines;
}

std::string CountedText(std::string_view count, std::string_view noun) {
  const std::string text = std::string(count) + ' ';
  if (count == "1") return text + std::string(noun);
  for (const auto& [ending, plural] :
       {std::pair{"ry", "ries"}, {"ix", "ices"}, {"s", "ses"}, {"ch", "ches"}, {"", "s"}}) {
    if (noun.ends_with(ending))
      return text + std::string(noun.substr(0, noun.size() - std::string_view(ending).size())) + plural;
  }
  return text;
}

}  // namespace oxidized
