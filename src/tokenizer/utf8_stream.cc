#include "tokenizer/utf8_stream.h"

#include <cstddef>
#include <cstdint>

namespace oxidized {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

enum class Unit { kValid, kInvalid, kIncomplete };

struct Step {
  Unit unit;
  size_t length;  // bytes of the character, of the maximal invalid part, or of the unfinished tail
};

// What the first byte says: the sequence's length and the range of its second byte, which is where overlong
// forms, surrogates and values above U+10FFFF are told apart (Unicode 15, table 3-7). length 0: can start
// nothing.
struct Lead {
  uint8_t length, low, high;
};

Lead LeadOf(uint8_t byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xC2) return {0, 0, 0};
  if (byte < 0xE0) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte < 0xF0) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

Step Next(std::string_view bytes) {
  const auto at = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
  const Lead lead = LeadOf(at(0));
  if (lead.length == 0) return {Unit::kInvalid, 1};
  for (size_t i = 1; i < lead.length; ++i) {
    if (i == bytes.size()) return {Unit::kIncomplete, i};
    const uint8_t low = i == 1 ? lead.low : 0x80;
    const uint8_t high = i == 1 ? lead.high : 0xBF;
    if (at(i) < low || at(i) > high) return {Unit::kInvalid, i};
  }
  return {Unit::kValid, lead.length};
}

// Appends the repaired text to `out`; returns the length of the unfinished tail that was left out.
size_t RepairInto(std::string_view bytes, std::string& out) {
  out.reserve(out.size() + bytes.size());
  while (!bytes.empty()) {
    const Step step = Next(bytes);
    if (step.unit == Unit::kIncomplete) return step.length;
    out += step.unit == Unit::kValid ? bytes.substr(0, step.length) : kReplacement;
    bytes.remove_prefix(step.length);
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
