// Recognises o200k_base in the text of a tokenizer.json, faster than any parser could read it: the tokens are
// known, so each is compared in place, and the merges need only be all there. Gives up at the first
// difference.
#include <array>
#include <cstdint>

#include "tokenizer/o200k.h"

namespace oxidized {
namespace {

// GPT-2's character for a byte, in UTF-8 (byte_text.h).
struct Character {
  char bytes[2];
  uint16_t code;
};
constexpr std::array<Character, 256> MakeCharacters() {
  std::array<Character, 256> characters{};
  uint16_t moved = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool itself = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    const uint16_t code = itself ? static_cast<uint16_t>(byte) : moved++;
    if (code < 0x80) {
      characters[byte] = {{static_cast<char>(code), 0}, code};
    } else {
      characters[byte] = {{static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 0x3F))},
                          code};
    }
  }
  return characters;
}
constexpr std::array<Character, 256> kCharacters = MakeCharacters();

// All splits of all tokens into two tokens: their number, and the sum of MergeDigest over them. Checked by
// o200k_test.
constexpr size_t kMergeCount = 446'189;
constexpr uint64_t kMergeDigest = 0x7AF993463142F62F;

class Scanner {
 public:
  Scanner(std::string_view json, const TokenTable& o200k)
      : begin_(json.data()), at_(begin_), end_(begin_ + json.size()), o200k_(o200k) {}

  std::optional<std::string> Run() {
    if (!Members([&](std::string_view key) { return key == "model" ? Model() : SkipValue(); }))
      return std::nullopt;
    if (vocab_.empty() || merges_.empty()) return std::nullopt;
    const bool vocab_first = vocab_.data() < merges_.data();
    const std::string_view first = vocab_first ? vocab_ : merges_, second = vocab_first ? merges_ : vocab_;
    std::string rest(begin_, first.data());
    rest += vocab_first ? "{}" : "[]";
    rest.append(first.end(), second.begin());
    rest += vocab_first ? "[]" : "{}";
    return rest.append(second.data() + second.size(), end_);
  }

 private:
  bool Model() {
    return Members([&](std::string_view key) {
      const char* from = at_;
      if (key == "vocab" && vocab_.empty()) {
        if (!Vocab()) return false;
        vocab_ = {from, static_cast<size_t>(at_ - from)};
        return true;
      }
      if (key == "merges" && merges_.empty()) {
        if (!Merges()) return false;
        merges_ = {from, static_cast<size_t>(at_ - from)};
        return true;
      }
      return SkipValue();
    });
  }

  bool Take(char c) {
    if (at_ == end_ || *at_ != c) return false;
    ++at_;
    return true;
  }
  void Space() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) ++at_;
  }
  // `c` with white space around it.
  bool TakeSpaced(char c) {
    Space();
    if (!Take(c)) return false;
    Space();
    return true;
  }

  // An object; `value` reads the value of each key.
  template <typename Value>
  bool Members(const Value& value) {
    if (!TakeSpaced('{')) return false;
    if (Take('}')) return true;
    do {
      const char* from = at_;
      if (!SkipString()) return false;
      const std::string_view key(from + 1, static_cast<size_t>(at_ - from) - 2);
      if (!TakeSpaced(':') || !value(key)) return false;
    } while (TakeSpaced(','));
    return Take('}');
  }

  bool SkipString() {
    if (!Take('"')) return false;
    for (; at_ != end_ && *at_ != '"'; ++at_) {
      if (*at_ == '\\' && ++at_ == end_) return false;
    }
    return Take('"');
  }
  // Whatever it is: the parser that gets the rest checks it.
  bool SkipValue() {
    int64_t depth = 0;
    while (at_ != end_) {
      const char c = *at_;
      if (depth == 0 && (c == ',' || c == '}' || c == ']')) return true;
      if (c == '"') {
        if (!SkipString()) return false;
        continue;
      }
      if (c == '{' || c == '[') ++depth;
      if (c == '}' || c == ']') --depth;
      ++at_;
    }
    return false;
  }

  // The text of one byte, plain or escaped.
  bool TakeByte(char byte) {
    const Character& character = kCharacters[static_cast<uint8_t>(byte)];
    if (at_ == end_) return false;
    if (*at_ == '\\') return TakeEscaped(character.code);
    if (*at_ != character.bytes[0] || byte == '"') return false;
    ++at_;
    return character.bytes[1] == 0 || Take(character.bytes[1]);
  }
  bool TakeEscaped(uint16_t code) {
    ++at_;
    if (code == '"' || code == '\\') {
      if (Take(static_cast<char>(code))) return true;
    }
    if (!Take('u') || end_ - at_ < 4) return false;
    uint32_t value = 0;
    for (int digit = 0; digit < 4; ++digit) {
      const char c = *at_++;
      const char lower = static_cast<char>(c | 0x20);
      if (c >= '0' && c <= '9') {
        value = value << 4 | static_cast<uint32_t>(c - '0');
      } else if (lower >= 'a' && lower <= 'f') {
        value = value << 4 | static_cast<uint32_t>(lower - 'a' + 10);
      } else {
        return false;
      }
    }
    return value == code;
  }
  bool TakeText(std::string_view bytes) {
    for (const char byte : bytes) {
      if (!TakeByte(byte)) return false;
    }
    return true;
  }
  bool TakeNumber(int32_t number) {
    char digits[10];
    int count = 0;
    do digits[count++] = static_cast<char>('0' + number % 10);
    while ((number /= 10) != 0);
    while (count != 0) {
      if (!Take(digits[--count])) return false;
    }
    return at_ != end_ && (*at_ < '0' || *at_ > '9');
  }

  // Every token, in the order of ids: {"!": 0, ...}.
  bool Vocab() {
    if (!TakeSpaced('{')) return false;
    for (int32_t id = 0; id < kO200kTokens; ++id) {
      if (id != 0 && !TakeSpaced(',')) return false;
      if (!Take('"') || !TakeText(*o200k_.Bytes(id)) || !Take('"') || !TakeSpaced(':') || !TakeNumber(id))
        return false;
    }
    Space();
    return Take('}');  // a number that goes on, 1.5, does not get here
  }

  // Every merge, in the order of results: ["a b", ...] or [["a", "b"], ...].
  bool Merges() {
    if (!TakeSpaced('[')) return false;
    size_t count = 0;
    uint64_t digest = 0;
    int32_t result = 0;
    do {
      const char* from = at_;
      size_t cut = Merge(result);
      while (cut == 0) {
        if (++result == kO200kTokens) return false;
        if (o200k_.Bytes(result)->size() == 1) continue;
        at_ = from;
        cut = Merge(result);
        if (cut == 0) return false;  // every token of more than a byte has a merge
      }
      digest += MergeDigest(result, cut);
      ++count;
    } while (TakeSpaced(','));
    return count == kMergeCount && digest == kMergeDigest && Take(']');
  }

  // The length of the left token if the next merge results in `result`, else 0.
  size_t Merge(int32_t result) {
    const std::string_view bytes = *o200k_.Bytes(result);
    const bool pair = Take('[');
    if (pair) Space();
    if (!Take('"')) return 0;
    size_t cut = 0;
    while (cut < bytes.size() && TakeByte(bytes[cut])) ++cut;
    if (cut == 0 || cut == bytes.size()) return 0;
    if (pair ? !Take('"') || !TakeSpaced(',') || !Take('"') : !Take(' ')) return 0;
    if (!TakeText(bytes.substr(cut)) || !Take('"')) return 0;
    return !pair || TakeLast(']') ? cut : 0;
  }
  bool TakeLast(char c) {
    Space();
    return Take(c);
  }

  const char* const begin_;
  const char* at_;
  const char* const end_;
  const TokenTable& o200k_;
  std::string_view vocab_, merges_;  // their texts, once recognised
};

}  // namespace

uint64_t MergeDigest(int32_t result, size_t cut) {
  uint64_t x = static_cast<uint64_t>(result) << 8 | cut;
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9;
  x = (x ^ x >> 27) * 0x94D049BB133111EB;
  return x ^ x >> 31;
}

std::optional<std::string> WithoutO200kTables(std::string_view json, const TokenTable& o200k) {
  return Scanner(json, o200k).Run();
}

}  // namespace oxidized
