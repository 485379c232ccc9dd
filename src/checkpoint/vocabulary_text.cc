#include "checkpoint/vocabulary_text.h"

#include <algorithm>
#include <array>
#include <tuple>

namespace oxidized {
namespace {

// By byte, in UTF-8 (tokenizer/byte_text.h has the inverse).
std::array<std::string, 256> ByteTexts() {
  std::array<std::string, 256> texts;
  uint32_t next = 0x100;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
    const uint32_t code = printable ? byte : next++;
    std::string& text = texts[byte];
    if (code < 0x80) {
      text = static_cast<char>(code);
    } else {
      text = {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 0x3F))};
    }
  }
  return texts;
}

}  // namespace

std::string EncodeByteText(std::string_view bytes) {
  static const std::array<std::string, 256> kTexts = ByteTexts();
  std::string text;
  for (const char c : bytes) text += kTexts[static_cast<uint8_t>(c)];
  return text;
}

std::vector<std::string> MergeTexts(const Vocabulary& vocabulary) {
  struct Pair {
    uint32_t rank;
    int32_t left, right;
  };
  std::vector<Pair> pairs;
  const TokenTable& tokens = vocabulary.tokens;
  for (int32_t id = 0; id < tokens.id_limit(); ++id) {
    const auto bytes = tokens.Bytes(id);
    if (!bytes) continue;
    for (size_t cut = 1; cut < bytes->size(); ++cut) {
      const auto left = tokens.Find(bytes->substr(0, cut));
      if (!left) continue;
      const auto right = tokens.Find(bytes->substr(cut));
      if (!right) continue;
      const uint32_t rank =
          vocabulary.ids_are_ranks ? static_cast<uint32_t>(id) : vocabulary.merges.Find(*left, *right).rank;
      if (rank != Merge::kNone) pairs.push_back({rank, *left, *right});
    }
  }
  std::sort(pairs.begin(), pairs.end(), [](const Pair& a, const Pair& b) {
    return std::tie(a.rank, a.left, a.right) < std::tie(b.rank, b.left, b.right);
  });
  std::vector<std::string> texts;
  texts.reserve(pairs.size());
  for (const Pair& pair : pairs) {
    texts.push_back(EncodeByteText(*tokens.Bytes(pair.left)) + " " +
                    EncodeByteText(*tokens.Bytes(pair.right)));
  }
  return texts;
}

}  // namespace oxidized
