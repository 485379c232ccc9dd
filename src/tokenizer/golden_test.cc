// Token ids against the packages `tokenizers` and `tiktoken` on 24,000 strings in many scripts (tools/
// tokenizer_golden.py), with the small vocabulary of the repository and with o200k_harmony.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include <filesystem>

#include "tokenizer/test_strings.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8_stream.h"

namespace oxidized {
namespace {

using test::kGoldenFolder;

void HashIds(const std::vector<int32_t>& ids, uint64_t& hash) {
  const auto add = [&](uint32_t id) {
    for (int shift = 0; shift < 32; shift += 8) hash = (hash ^ (id >> shift & 0xFF)) * 0x100000001B3;
  };
  for (const int32_t id : ids) add(static_cast<uint32_t>(id));
  add(UINT32_MAX);
}

using EncodeFunction = std::vector<int32_t> (*)(const Tokenizer&, std::string_view);
std::vector<int32_t> Ordinary(const Tokenizer& tokenizer, std::string_view text) {
  return tokenizer.Encode(text);
}
std::vector<int32_t> WithSpecials(const Tokenizer& tokenizer, std::string_view text) {
  return tokenizer.EncodeWithSpecials(text);
}

void CompareWithHashes(const Tokenizer& tokenizer, const std::string& hashes_file) {
  const test::TestStrings strings;
  simdjson::dom::parser parser;
  const std::string text = test::ReadFile(kGoldenFolder + hashes_file);
  const simdjson::dom::object golden = parser.parse(text);
  const uint64_t count = golden["strings"], batch = golden["batch"];
  ASSERT_GE(count, 20'000u);
  for (const auto& [mode, encode] : {std::pair<const char*, EncodeFunction>{"ordinary", Ordinary},
                                     std::pair<const char*, EncodeFunction>{"with_specials", WithSpecials}}) {
    uint64_t number = 0;
    for (const std::string_view expected : golden[mode].get_array()) {
      uint64_t hash = 0xCBF29CE484222325;
      for (const uint64_t end = number + batch; number < end; ++number) {
        HashIds(encode(tokenizer, strings.Make(number)), hash);
      }
      ASSERT_EQ(fmt::format("{:016x}", hash), expected)
          << mode << ", strings " << number - batch << " to " << number - 1;
    }
    EXPECT_EQ(number, count);
  }
}

void ExpectRoundTrip(const Tokenizer& tokenizer, std::string_view text) {
  std::string decoded;
  for (const int32_t id : tokenizer.Encode(text)) {
    EXPECT_FALSE(tokenizer.IsSpecial(id)) << text;
    decoded += *tokenizer.TokenBytes(id);
  }
  ASSERT_EQ(decoded, RepairUtf8(text));
}

TEST(TokenizerGolden, SmallJsonGivesTheIdsOfTokenizers) {
  CompareWithHashes(*Tokenizer::Load(kGoldenFolder + "tokenizer.json"), "tokenizer.hashes.json");
}

TEST(TokenizerGolden, SmallRankFileGivesTheIdsOfTiktoken) {
  CompareWithHashes(*Tokenizer::Load(kGoldenFolder + "ranks.tiktoken"), "ranks.hashes.json");
}

TEST(TokenizerGolden, O200kGivesTheIdsOfTiktoken) {
  const auto tokenizer = Tokenizer::BuiltIn();
  CompareWithHashes(*tokenizer, "o200k.hashes.json");
}

TEST(TokenizerGolden, O200kGivesTheVectorsOfTheSpecification) {
  const auto tokenizer = Tokenizer::BuiltIn();
  const std::string path = "../shared/spec/tokenizer-vectors.json";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no file " << path;
  simdjson::dom::parser parser;
  const std::string text = test::ReadFile(path);
  const simdjson::dom::array vectors = parser.parse(text)["vectors"];
  EXPECT_GE(vectors.size(), 97u);
  for (const simdjson::dom::object vector : vectors) {
    std::vector<int32_t> ids;
    for (const int64_t id : vector["ids"].get_array()) ids.push_back(static_cast<int32_t>(id));
    const std::string_view input = vector["text"];
    EXPECT_EQ(tokenizer->Encode(input), ids) << input;
  }
}

TEST(TokenizerGolden, O200kHasTheIdsOfHarmony) {
  const auto tokenizer = Tokenizer::BuiltIn();
  EXPECT_EQ(tokenizer->vocab_size(), 201'088);
  const std::pair<const char*, int32_t> specials[] = {
      {"<|startoftext|>", 199998}, {"<|endoftext|>", 199999},       {"<|return|>", 200002},
      {"<|constrain|>", 200003},   {"<|channel|>", 200005},         {"<|start|>", 200006},
      {"<|end|>", 200007},         {"<|message|>", 200008},         {"<|call|>", 200012},
      {"<|endofprompt|>", 200018}, {"<|reserved_200000|>", 200000}, {"<|reserved_201087|>", 201087}};
  for (const auto& [text, id] : specials) {
    EXPECT_EQ(tokenizer->SpecialId(text), id);
    EXPECT_EQ(tokenizer->TokenBytes(id), text);
    EXPECT_TRUE(tokenizer->IsSpecial(id));
  }
  EXPECT_EQ(tokenizer->SpecialId("<|reserved_200018|>"), 200018);
  EXPECT_EQ(tokenizer->SpecialId("<|reserved_201088|>"), std::nullopt);
  EXPECT_EQ(tokenizer->TokenBytes(201'088), std::nullopt);
  EXPECT_EQ(tokenizer->Encode("<|start|>"), (std::vector<int32_t>{27, 91, 5236, 91, 29}));
  EXPECT_EQ(tokenizer->EncodeWithSpecials("<|start|>assistant<|channel|>final<|message|>"),
            (std::vector<int32_t>{200006, 173781, 200005, 17196, 200008}));
  // A token may end inside a character: space and half an emoji, then text.
  Utf8Stream stream;
  EXPECT_EQ(stream.Push(*tokenizer->TokenBytes(9552)), " ");
  EXPECT_EQ(stream.Push("Hi"), "\uFFFDHi");
  EXPECT_EQ(tokenizer->TokenBytes(132990), "Chicken");
  const std::vector<int32_t> heart = tokenizer->Encode("💖");
  ASSERT_GE(heart.size(), 2u);
  EXPECT_EQ(stream.Push(*tokenizer->TokenBytes(heart[0])), "");
}

// Valid text comes back byte for byte, any other bytes as RepairUtf8 gives them, and no ordinary text is ever
// special.
TEST(TokenizerGolden, DecodingUndoesEncoding) {
  const test::TestStrings strings;
  for (const char* file : {"tokenizer.json", "ranks.tiktoken"}) {
    const auto tokenizer = Tokenizer::Load(kGoldenFolder + file);
    test::Random random(7);
    for (uint64_t number = 1'000'000; number < 1'004'000; ++number) {
      std::string text = strings.Make(number);
      ExpectRoundTrip(*tokenizer, text);
      for (int changes = 0; changes < 3; ++changes)
        text[random.Below(text.size())] = static_cast<char>(random.Below(256));
      ExpectRoundTrip(*tokenizer, text);
    }
  }
}

}  // namespace
}  // namespace oxidized
