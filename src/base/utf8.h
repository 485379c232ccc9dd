// UTF-8, one unit at a time: what decides everywhere whether bytes are text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace oxidized {

struct Utf8Unit {
  enum class Kind : uint8_t { kValid, kInvalid, kIncomplete };
  Kind kind;
  size_t length;  // bytes of the character, of the maximal invalid part, or of the unfinished tail
};

// What `bytes`, which are not empty, begin with (Unicode 15, table 3-7 and §3.9).
Utf8Unit NextUtf8(std::string_view bytes);

// `code`: a scalar value of Unicode.
void AppendUtf8(uint32_t code, std::string& text);

}  // namespace oxidized
