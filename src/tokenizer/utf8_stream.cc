#include "tokenizer/utf8_stream.h"

#include <cstddef>

#include "base/utf8.h"

namespace oxidized {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

// Appends the repaired text to `out`; returns the length of the unfinished tail that was left out.
size_t RepairInto(std::string_view bytes, std::string& out) {
  out.reserve(out.size() + bytes.size());
  while (!bytes.empty()) {
    const Utf8Unit unit = NextUtf8(bytes);
    if (unit.kind == Utf8Unit::Kind::kIncomplete) return unit.length;
    out += unit.kind == Utf8Unit::Kind::kValid ? bytes.substr(0, unit.length) : kReplacement;
    bytes.remove_prefix(unit.length);
  }
  return 0;
}

}  // namespace

std::string Utf8Stream::Push(std::string_view bytes) {
  tail_ += bytes;
  std::string text;
  const size_t held = RepairInto(tail_, text);
  tail_.erase(0, tail_.size() - held);
  return text;
}

std::string Utf8Stream::Flush() {
  std::string text(tail_.empty() ? std::string_view() : kReplacement);
  tail_.clear();
  return text;
}

std::string RepairUtf8(std::string_view bytes) {
  std::string text;
  if (RepairInto(bytes, text) > 0) text += kReplacement;
  return text;
}

}  // namespace oxidized
