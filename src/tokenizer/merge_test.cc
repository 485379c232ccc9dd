// The two merging loops against the definition, on strings that overlap with themselves.
#include "tokenizer/merge.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "tokenizer/test_strings.h"

namespace oxidized {
namespace {

// By concatenated bytes, one merge a scan: tokenizer semantics as tiktoken defines them.
std::vector<int32_t> MergeByDefinition(const Vocabulary& vocabulary, std::string_view piece) {
  std::vector<std::string> parts;
  for (const char c : piece) parts.emplace_back(1, c);
  for (;;) {
    size_t best = parts.size();
    int32_t best_rank = INT32_MAX;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      const auto rank = vocabulary.tokens.Find(parts[i] + parts[i + 1]);
      if (rank && *rank < best_rank) {
        best = i;
        best_rank = *rank;
      }
    }
    if (best == parts.size()) break;
    parts[best] += parts[best + 1];
    parts.erase(parts.begin() + static_cast<ptrdiff_t>(best) + 1);
  }
  std::vector<int32_t> ids;
  for (const std::string& part : parts) ids.push_back(*vocabulary.tokens.Find(part));
  return ids;
}

std::string ToBase64(std::string_view bytes) {
  static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t bits = 0;
    for (size_t j = 0; j < 3; ++j)
      bits = bits << 8 | (i + j < bytes.size() ? static_cast<uint8_t>(bytes[i + j]) : 0);
    for (size_t j = 0; j < 4; ++j) text += i + j <= bytes.size() ? kDigits[bits >> (18 - 6 * j) & 63] : '=';
  }
  return text;
}

// All bytes, then `words` over two letters in an order in which constituents may come late.
Vocabulary TwoLetterVocabulary(test::Random& random, int words) {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  for (int i = 0; i < words; ++i) {
    std::string word;
    for (uint64_t n = 2 + random.Below(5); n > 0; --n) word += random.Below(2) ? 'a' : 'b';
    if (std::find(tokens.begin(), tokens.end(), word) == tokens.end()) tokens.push_back(word);
  }
  std::string file;
  for (size_t rank = 0; rank < tokens.size(); ++rank)
    file += ToBase64(tokens[rank]) + ' ' + std::to_string(rank) + '\n';
  return ReadRankFile(file, "two letters");
}

TEST(MergePiece, FollowsTheDefinition) {
  test::Random random(3);
  MergeScratch scratch;
  for (int round = 0; round < 60; ++round) {
    const Vocabulary vocabulary = TwoLetterVocabulary(random, 20);
    for (int trial = 0; trial < 20; ++trial) {
      const size_t length = 1 + random.Below(120);
      const size_t period = 1 + random.Below(length);
      std::string piece;
      for (size_t i = 0; i < length; ++i)
        piece += i < period ? (random.Below(2) ? 'a' : 'b') : piece[i - period];
      std::vector<int32_t> ids;
      MergePiece(vocabulary, piece, scratch, ids);
      ASSERT_EQ(ids, MergeByDefinition(vocabulary, piece)) << piece;
    }
  }
}

TEST(MergePiece, OneLetterAMillionTimes) {
  test::Random random(5);
  const Vocabulary vocabulary = TwoLetterVocabulary(random, 30);
  MergeScratch scratch;
  std::vector<int32_t> ids;
  const auto begin = std::chrono::steady_clock::now();
  MergePiece(vocabulary, std::string(1'000'000, 'a'), scratch, ids);
  size_t bytes = 0;
  for (const int32_t id : ids) bytes += vocabulary.tokens.Bytes(id)->size();
  EXPECT_EQ(bytes, 1'000'000u);
  // A quadratic merge takes minutes; this takes a fraction of a second.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

}  // namespace
}  // namespace oxidized
