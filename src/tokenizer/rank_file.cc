// Reads tiktoken rank files: one token a line, base64 of its bytes, a space, its rank. The rank is the
// token's id and the order of merging. The format names neither split pattern nor special tokens: o200k's are
// assumed, and the special tokens of o200k_harmony when the number of entries is that of o200k_base.
#include <charconv>
#include <vector>

#include "base/error.h"
#include "base/printable.h"
#include "tokenizer/o200k.h"
#include "tokenizer/splitter.h"
#include "tokenizer/vocabulary.h"

namespace oxidized {
namespace {

// o200k's longest token has 128 bytes. The bound keeps merging linear: no longer pair is looked up.
constexpr size_t kMaxTokenBytes = 512;
int Base64Value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  return c == '/' ? 63 : -1;
}

// Strict: padded, nothing after the padding, unused bits zero.
bool DecodeBase64(std::string_view text, std::string& bytes) {
  bytes.clear();
  if (text.empty() || text.size() % 4 != 0) return false;
  size_t digits = text.size();
  while (digits > text.size() - 2 && text[digits - 1] == '=') --digits;
  uint32_t bits = 0;
  int held = 0;
  for (size_t i = 0; i < digits; ++i) {
    const int value = Base64Value(text[i]);
    if (value < 0) return false;
    bits = bits << 6 | static_cast<uint32_t>(value);
    held += 6;
    if (held >= 8) {
      held -= 8;
      bytes += static_cast<char>(bits >> held & 0xFF);
    }
  }
  return (bits & ((1u << held) - 1)) == 0;
}

struct Line {
  std::string_view base64;
  int32_t rank;
};

std::vector<Line> SplitLines(std::string_view text, const std::string& name) {
  std::vector<Line> lines;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    const size_t space = line.find(' ');
    const std::string_view digits = space == std::string_view::npos ? "" : line.substr(space + 1);
    int64_t rank = -1;
    const auto [last, error] = std::from_chars(digits.data(), digits.data() + digits.size(), rank);
    if (error != std::errc() || last != digits.data() + digits.size() || rank < 0 || rank > kMaxTokenId) {
      Fail(ErrorKind::kBadFile,
           "{}: line {} is not a rank file entry, expected base64, a space and a rank up to {}", name, number,
           kMaxTokenId);
    }
    lines.push_back({line.substr(0, space), static_cast<int32_t>(rank)});
  }
  return lines;
}

}  // namespace

Vocabulary ReadRankFile(std::string_view text, const std::string& name) {
  if (text.size() > UINT32_MAX)
    Fail(ErrorKind::kBadFile, "{}: {} bytes, expected less than 4 GiB", name, text.size());
  const std::vector<Line> lines = SplitLines(text, name);
  const auto count = static_cast<int32_t>(std::min<size_t>(lines.size(), kMaxTokenId + 1));
  if (lines.size() > static_cast<size_t>(count)) {
    Fail(ErrorKind::kBadFile, "{}: {} entries, expected at most {}", name, lines.size(), count);
  }
  Vocabulary vocabulary;
  vocabulary.tokens.Reserve(lines.size(), text.size());
  std::string bytes;
  for (const Line& line : lines) {
    if (line.rank >= count) {
      Fail(ErrorKind::kBadFile, "{}: rank {} among {}, expected ranks without gaps from 0", name, line.rank,
           Counted(lines.size(), "entry"));
    }
    if (!DecodeBase64(line.base64, bytes)) {
      Fail(ErrorKind::kBadFile, "{}: the token of rank {} is not base64", name, line.rank);
    }
    if (bytes.size() > kMaxTokenBytes) {
      Fail(ErrorKind::kBadFile, "{}: the token of rank {} has {} bytes, expected at most {}", name, line.rank,
           bytes.size(), kMaxTokenBytes);
    }
    switch (vocabulary.tokens.Add(line.rank, bytes)) {
      case TokenTable::Added::kYes:
        break;
      case TokenTable::Added::kDuplicateId:
        Fail(ErrorKind::kBadFile, "{}: rank {} is there twice", name, line.rank);
      case TokenTable::Added::kDuplicateBytes:
        Fail(ErrorKind::kBadFile, "{}: the token of rank {} is there twice", name, line.rank);
    }
  }
  vocabulary.IndexBytes(name);
  vocabulary.ids_are_ranks = true;
  vocabulary.split_pattern = kO200kPattern;
  if (lines.size() == kO200kTokens) AddHarmonySpecials(vocabulary, name);
  return vocabulary;
}

}  // namespace oxidized
