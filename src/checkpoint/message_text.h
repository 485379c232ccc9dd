// Names that came out of a file, made fit for a one-line message: what does not print escaped, length
// bounded.
#pragma once

#include <string>
#include <string_view>

namespace oxidized {

// `text` in double quotes, as EscapeUnprintable shows it; everything past 120 bytes as an ellipsis.
std::string Quoted(std::string_view text);

// "[32, 5760, 90, 16]"
template <typename Shape>
std::string ShapeText(const Shape& shape) {
  std::string text = "[";
  for (const auto dimension : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(dimension);
  return text + "]";
}

}  // namespace oxidized
