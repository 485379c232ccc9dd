// A list of tokens as GGUF holds one: all of o200k_harmony, rewritten in that form, encodes as the built-in
// one.
#include <gtest/gtest.h>

#include <array>
#include <string>

#include "base/error.h"
#include "tokenizer/tokenizer.h"

namespace oxidized {
namespace {

using Kind = ListedToken::Kind;

// GPT-2's character for each byte, in UTF-8, made from the rule rather than from the reader's table.
std::array<std::string, 256> Characters() {
  std::array<std::string, 256> characters;
  int next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool prints = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
    const int c = prints ? byte : next++;
    if (c < 0x80) {
      characters[static_cast<size_t>(byte)] = static_cast<char>(c);
    } else {
      characters[static_cast<size_t>(byte)] = {static_cast<char>(0xC0 | c >> 6),
                                               static_cast<char>(0x80 | (c & 0x3F))};
    }
  }
  return characters;
}

TEST(TokenList, AllOfO200kEncodesAsTheBuiltInVocabulary) {
  const auto built_in = Tokenizer::BuiltIn();
  const auto characters = Characters();
  std::vector<std::string> texts;
  std::vector<ListedToken> list;
  for (int32_t id = 0; id < built_in->vocab_size(); ++id) {
    const std::string_view bytes = *built_in->TokenBytes(id);
    std::string text;
    for (const char c : bytes) text += characters[static_cast<uint8_t>(c)];
    texts.push_back(built_in->IsSpecial(id) ? std::string(bytes) : text);
  }
  for (int32_t id = 0; id < built_in->vocab_size(); ++id) {
    list.push_back(
        {texts[static_cast<size_t>(id)], built_in->IsSpecial(id) ? Kind::kSpecial : Kind::kOrdinary});
  }
  const auto listed = Tokenizer::FromTokenList(list, {}, "list");
  EXPECT_EQ(listed->vocab_size(), built_in->vocab_size());
  EXPECT_EQ(listed->SpecialId("<|channel|>"), 200005);
  EXPECT_EQ(listed->TokenBytes(9552), built_in->TokenBytes(9552));
  for (const char* text : {"hello world", "don't DON'T I'LL we'Ve", "cafe\u0301 naïve 🙂👍🏽", "  \n  x",
                           "12345678", "\xF0\x9F", "Ġ Ā", "日本語のテキスト", "<|start|>system<|message|>"}) {
    EXPECT_EQ(listed->Encode(text), built_in->Encode(text)) << text;
    EXPECT_EQ(listed->EncodeWithSpecials(text), built_in->EncodeWithSpecials(text)) << text;
  }
}

TEST(TokenList, IdsMayStandForNothing) {
  const auto characters = Characters();
  std::vector<ListedToken> list(3);
  for (const std::string& c : characters) list.push_back({c, Kind::kOrdinary});
  list.push_back({});
  list.push_back({"ab", Kind::kOrdinary});
  list.push_back({"<|x|>", Kind::kSpecial});
  list.resize(list.size() + 4);
  const auto tokenizer = Tokenizer::FromTokenList(list, {}, "list");
  EXPECT_EQ(tokenizer->vocab_size(), 3 + 256 + 3);
  EXPECT_EQ(tokenizer->Encode("ab"), (std::vector<int32_t>{3 + 256 + 1}));
  EXPECT_EQ(tokenizer->Encode("b"), (std::vector<int32_t>{3 + 'b'}));
  EXPECT_FALSE(tokenizer->TokenBytes(0));
  EXPECT_FALSE(tokenizer->TokenBytes(3 + 256));
  EXPECT_TRUE(tokenizer->IsSpecial(3 + 256 + 2));
  EXPECT_THROW(Tokenizer::FromTokenList({}, {}, "list"), Error);
}

}  // namespace
}  // namespace oxidized
