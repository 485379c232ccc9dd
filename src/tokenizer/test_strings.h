// Strings in many scripts for the tests, drawn from tests/golden/tokenizer/strings.json exactly as
// tools/tokenizer_golden.py draws them. Header of the unit tests only; paths are relative to the repository.
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace oxidized::test {

inline const std::string kGoldenFolder = "tests/golden/tokenizer/";

inline std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path + " cannot be read; tests run in the repository's root");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// SplitMix64.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Below(uint64_t n) {
    state_ += 0x9E3779B97F4A7C15;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return (z ^ (z >> 31)) % n;
  }
  template <typename T>
  const T& Pick(const std::vector<T>& values) {
    return values[Below(values.size())];
  }

 private:
  uint64_t state_;
};

inline void AppendUtf8(uint32_t code, std::string& text) {
  const auto put = [&](uint32_t byte) { text += static_cast<char>(byte); };
  if (code < 0x80) return put(code);
  if (code < 0x800) {
    put(0xC0 | code >> 6);
  } else {
    if (code < 0x10000) {
      put(0xE0 | code >> 12);
    } else {
      put(0xF0 | code >> 18);
      put(0x80 | (code >> 12 & 0x3F));
    }
    put(0x80 | (code >> 6 & 0x3F));
  }
  put(0x80 | (code & 0x3F));
}

class TestStrings {
 public:
  TestStrings() {
    simdjson::dom::parser parser;
    const std::string text = ReadFile(kGoldenFolder + "strings.json");
    const simdjson::dom::object root = parser.parse(text);
    for (const simdjson::dom::object alphabet : root["alphabets"].get_array()) {
      auto& ranges = alphabets_.emplace_back();
      for (const simdjson::dom::array range : alphabet["ranges"].get_array()) {
        ranges.emplace_back(static_cast<uint32_t>(range.at(0).get_uint64()),
                            static_cast<uint32_t>(range.at(1).get_uint64()));
      }
    }
    for (const std::string_view phrase : root["phrases"].get_array()) phrases_.emplace_back(phrase);
    for (const std::string_view separator : root["separators"].get_array())
      separators_.emplace_back(separator);
  }

  std::string Make(uint64_t number) const {
    Random random(number);
    std::string text;
    const uint64_t parts = 1 + random.Below(8);
    for (uint64_t part = 0; part < parts; ++part) {
      AppendPart(random, text);
      if (random.Below(3) > 0) text += random.Pick(separators_);
    }
    return text;
  }

 private:
  using Ranges = std::vector<std::pair<uint32_t, uint32_t>>;

  static void AppendCharacter(Random& random, const Ranges& ranges, std::string& text) {
    const auto [low, high] = random.Pick(ranges);
    AppendUtf8(low + static_cast<uint32_t>(random.Below(high - low + 1)), text);
  }

  void AppendPart(Random& random, std::string& text) const {
    const uint64_t kind = random.Below(10);
    if (kind < 4) {  // a word of one script
      const Ranges& ranges = random.Pick(alphabets_);
      for (uint64_t n = 1 + random.Below(8); n > 0; --n) AppendCharacter(random, ranges, text);
    } else if (kind < 7) {
      text += random.Pick(phrases_);
    } else if (kind == 7) {
      const std::string& phrase = random.Pick(phrases_);
      for (uint64_t n = 2 + random.Below(5); n > 0; --n) text += phrase;
    } else if (kind == 8) {
      for (uint64_t n = 1 + random.Below(7); n > 0; --n) text += static_cast<char>('0' + random.Below(10));
    } else {  // characters of any scripts
      for (uint64_t n = 1 + random.Below(4); n > 0; --n)
        AppendCharacter(random, random.Pick(alphabets_), text);
    }
  }

  std::vector<Ranges> alphabets_;
  std::vector<std::string> phrases_, separators_;
};

}  // namespace oxidized::test
