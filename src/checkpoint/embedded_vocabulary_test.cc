// The vocabulary in a GGUF file: the tokenizer it makes, and damage that is named.
#include "checkpoint/embedded_vocabulary.h"

#include <gtest/gtest.h>

#include "audit/inspect.h"
#include "checkpoint/checkpoint_tokenizer.h"
#include "checkpoint/gguf/gguf_model_test_util.h"

namespace oxidized {
namespace {

using namespace testing;

constexpr ErrorKind kBad = ErrorKind::kBadFile;
constexpr ErrorKind kUnsupported = ErrorKind::kUnsupported;

// "Ā" for byte 0, as GPT-2 writes bytes that do not print.
std::string ByteText(int byte) {
  int character = byte;
  if (byte <= 0x20) character = 0x100 + byte;
  if (byte >= 0x7F && byte <= 0xA0) character = 0x121 + byte - 0x7F;
  if (byte == 0xAD) character = 0x143;
  if (character < 0x80) return {static_cast<char>(character)};
  return {static_cast<char>(0xC0 | character >> 6), static_cast<char>(0x80 | (character & 0x3F))};
}

struct Tokens {
  std::vector<std::string> texts;
  std::vector<int32_t> types;
};
Tokens SmallVocabulary() {
  Tokens tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.texts.push_back(ByteText(byte));
  for (const char* text : {"ab", "bc", "abc", "Ġa"}) tokens.texts.emplace_back(text);
  tokens.types.assign(tokens.texts.size(), 1);
  const auto add = [&](const char* text, int32_t type) {
    tokens.texts.emplace_back(text);
    tokens.types.push_back(type);
  };
  add("<|start|>", 3);
  add("[PAD261]", 5);
  add("<|user|>", 4);
  add("[PAD263]", 4);  // as Ollama pads
  return tokens;
}

TEST_F(GgufModel, TheVocabularyInTheFileMakesATokenizer) {
  GgufBuilder gguf = MakeGguf(hf_, {});
  const Tokens tokens = SmallVocabulary();
  gguf.String("tokenizer.ggml.model", "gpt2").String("tokenizer.ggml.pre", "gpt-4o");
  gguf.Strings("tokenizer.ggml.tokens", tokens.texts).I32s("tokenizer.ggml.token_type", tokens.types);
  {
    const Checkpoint checkpoint = Open(gguf.Build());
    ASSERT_TRUE(checkpoint.vocabulary);
    EXPECT_NE(InspectText(checkpoint).find("a vocabulary of 264 tokens"), std::string::npos);
    const auto tokenizer = MakeTokenizer(*checkpoint.vocabulary);
    EXPECT_EQ(tokenizer->vocab_size(), 263);
    EXPECT_EQ(tokenizer->SpecialId("<|start|>"), 260);
    EXPECT_EQ(tokenizer->SpecialId("<|user|>"), 262);
    EXPECT_FALSE(tokenizer->TokenBytes(261));
    EXPECT_FALSE(tokenizer->TokenBytes(263));
    EXPECT_EQ(tokenizer->TokenBytes(259), " a");
    EXPECT_EQ(tokenizer->Encode("abcz a"), (std::vector<int32_t>{258, 'z', 259}));
    EXPECT_EQ(tokenizer->Encode("<|start|>").size(), 9u);
    EXPECT_EQ(tokenizer->EncodeWithSpecials("<|start|>a"), (std::vector<int32_t>{260, 'a'}));
  }
  // Listed merges count when they are not every split: here "bc" is made by nothing.
  gguf.Strings("tokenizer.ggml.merges", {"a b", "ab c", "Ġ a"});
  const auto tokenizer = MakeTokenizer(*Open(gguf.Build()).vocabulary);
  EXPECT_EQ(tokenizer->Encode("zbc"), (std::vector<int32_t>{'z', 'b', 'c'}));
  EXPECT_EQ(tokenizer->Encode("zabc"), (std::vector<int32_t>{'z', 258}));
}

TEST_F(GgufModel, ATokenizerInTheFolderDoesNotOverruleTheFilesOwn) {
  GgufBuilder gguf = MakeGguf(hf_, {});
  const Tokens tokens = SmallVocabulary();
  gguf.String("tokenizer.ggml.model", "gpt2").String("tokenizer.ggml.pre", "gpt-4o");
  gguf.Strings("tokenizer.ggml.tokens", tokens.texts).I32s("tokenizer.ggml.token_type", tokens.types);
  const Checkpoint alone = Open(gguf.Build());
  const std::filesystem::path folder = alone.path.parent_path();
  WriteFile(folder / "tokenizer.json", "{}");  // another model's, or damaged
  WriteFile(folder / "other.tiktoken", "?");
  const Checkpoint checkpoint = Open(gguf.Build());
  EXPECT_TRUE(checkpoint.tokenizer_candidates.empty());
  EXPECT_EQ(TokenizerOf(checkpoint)->Encode("abc"), (std::vector<int32_t>{258}));
}

TEST_F(GgufModel, DamagedVocabulariesAreNamed) {
  const auto expect = [&](ErrorKind kind, const std::vector<std::string>& parts,
                          const std::function<void(GgufBuilder&, Tokens&)>& change, bool types = true,
                          const std::string& model = "gpt2") {
    GgufBuilder gguf = MakeGguf(hf_, {});
    Tokens tokens = SmallVocabulary();
    change(gguf, tokens);
    gguf.String("tokenizer.ggml.model", model).Strings("tokenizer.ggml.tokens", tokens.texts);
    if (types) gguf.I32s("tokenizer.ggml.token_type", tokens.types);
    const Checkpoint checkpoint = Open(gguf.Build());
    ExpectError(kind, parts, [&] { MakeTokenizer(*checkpoint.vocabulary); });
  };
  const auto nothing = [](GgufBuilder&, Tokens&) {};
  expect(kUnsupported, {"vocabulary is \"llama\""}, nothing, true, "llama");
  expect(kUnsupported, {"split \"llama-bpe\""},
         [](GgufBuilder& g, Tokens&) { g.String("tokenizer.ggml.pre", "llama-bpe"); });
  expect(kBad, {"token_type is not an array of 264 i32"}, nothing, false);
  expect(kBad, {"token_type is not an array of 264 i32"},
         [](GgufBuilder&, Tokens& t) { t.types.pop_back(); });
  expect(kBad, {"the text of token 257 is there twice"},
         [](GgufBuilder&, Tokens& t) { t.texts[257] = "ab"; });
  expect(kBad, {"token 256 is not in byte-level form"}, [](GgufBuilder&, Tokens& t) { t.texts[256] = "日"; });
  expect(kBad, {"token 256 has 600 bytes"},
         [](GgufBuilder&, Tokens& t) { t.texts[256] = std::string(600, 'x'); });
  expect(kBad, {"no token for byte 0x41"}, [](GgufBuilder&, Tokens& t) { t.types['A'] = 5; });
  expect(kBad, {"special token 262 is there twice"},
         [](GgufBuilder&, Tokens& t) { t.texts[262] = "<|start|>"; });
  expect(kBad, {"merge 1 names q", "not a token"},
         [](GgufBuilder& g, Tokens&) { g.Strings("tokenizer.ggml.merges", {"a b", "qq b"}); });
  expect(kBad, {"merges is not an array of strings"},
         [](GgufBuilder& g, Tokens&) { g.I32s("tokenizer.ggml.merges", {1}); });
}

}  // namespace
}  // namespace oxidized
