#include "tokenizer/tokenizer.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <thread>

#include "base/error.h"
#include "tokenizer/test_strings.h"

namespace oxidized {
namespace {

const std::string& SmallJson() {
  static const std::string text = test::ReadFile(test::kGoldenFolder + "tokenizer.json");
  return text;
}
const std::string& SmallRanks() {
  static const std::string text = test::ReadFile(test::kGoldenFolder + "ranks.tiktoken");
  return text;
}

std::string Replace(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

using Reader = std::unique_ptr<Tokenizer> (*)(std::string_view, const std::string&);

// The message is one line that begins with the file's name and says `what`.
void ExpectRefused(Reader read, const std::string& text, const std::string& what) {
  try {
    read(text, "some/file");
    ADD_FAILURE() << "accepted, expected: " << what;
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_EQ(error.kind(), ErrorKind::kBadFile);
    EXPECT_TRUE(message.starts_with("some/file: ")) << message;
    EXPECT_NE(message.find(what), std::string::npos) << message << "\nexpected: " << what;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    EXPECT_LT(message.size(), 250u) << message;
  }
}
void ExpectJsonRefused(const std::string& text, const std::string& what) {
  ExpectRefused(&Tokenizer::FromTokenizerJson, text, what);
}
void ExpectRanksRefused(const std::string& text, const std::string& what) {
  ExpectRefused(&Tokenizer::FromRankFile, text, what);
}

TEST(Tokenizer, SpecialTokensOnlyOnDemand) {
  const auto tokenizer = Tokenizer::FromTokenizerJson(SmallJson(), "small");
  const auto start = tokenizer->SpecialId("<|start|>");
  ASSERT_TRUE(start);
  EXPECT_TRUE(tokenizer->IsSpecial(*start));
  EXPECT_EQ(tokenizer->TokenBytes(*start), "<|start|>");
  EXPECT_EQ(tokenizer->SpecialId("<|nothing|>"), std::nullopt);

  for (const int32_t id : tokenizer->Encode("<|start|>user<|message|>"))
    EXPECT_FALSE(tokenizer->IsSpecial(id));
  std::vector<int32_t> expected{*start};
  tokenizer->Encode("user", expected);  // appends
  expected.push_back(*tokenizer->SpecialId("<|message|>"));
  tokenizer->Encode(" <|", expected);
  EXPECT_EQ(tokenizer->EncodeWithSpecials("<|start|>user<|message|> <|"), expected);
}

TEST(Tokenizer, EdgesOfTheIdSpace) {
  const auto tokenizer = Tokenizer::FromTokenizerJson(SmallJson(), "small");
  EXPECT_EQ(tokenizer->Encode(""), std::vector<int32_t>{});
  EXPECT_EQ(tokenizer->EncodeWithSpecials(""), std::vector<int32_t>{});
  EXPECT_EQ(tokenizer->vocab_size(), 3072 + 21);
  EXPECT_TRUE(tokenizer->TokenBytes(tokenizer->vocab_size() - 1));
  for (const int32_t id : {-1, tokenizer->vocab_size(), INT32_MAX, INT32_MIN}) {
    EXPECT_EQ(tokenizer->TokenBytes(id), std::nullopt);
    EXPECT_FALSE(tokenizer->IsSpecial(id));
  }
}

TEST(Tokenizer, RepairsInvalidBytesFirst) {
  const auto tokenizer = Tokenizer::FromRankFile(SmallRanks(), "small");
  EXPECT_EQ(tokenizer->Encode("a\xFF b\xE2\x82"), tokenizer->Encode("a\uFFFD b\uFFFD"));
}

// The longest special token wins where one begins another.
TEST(Tokenizer, LongestSpecialWins) {
  const auto tokenizer = Tokenizer::FromTokenizerJson(
      Replace(SmallJson(), R"("added_tokens":[)",
              R"("added_tokens":[{"id":5000,"content":"<|start|>x"},{"id":5001,"content":"é"},)"),
      "small");
  EXPECT_EQ(tokenizer->EncodeWithSpecials("<|start|>xé"), (std::vector<int32_t>{5000, 5001}));
  EXPECT_EQ(tokenizer->vocab_size(), 5002);
  EXPECT_EQ(tokenizer->TokenBytes(4000), std::nullopt);  // between the two kinds: no such token
}

// "ignore_merges" takes a piece that is a token as it is; without it only what the merges give.
TEST(Tokenizer, HonoursTheMergesList) {
  const std::string no_merges = SmallJson().substr(0, SmallJson().find("\"merges\":[")) + "\"merges\":[]}}";
  const auto bytes_only = Tokenizer::FromTokenizerJson(no_merges, "small");
  EXPECT_EQ(bytes_only->Encode("the token").size(), 9u);
  const auto whole = Tokenizer::FromTokenizerJson(
      Replace(no_merges, R"("ignore_merges":false)", R"("ignore_merges":true)"), "small");
  EXPECT_EQ(whole->Encode("the token").size(), 2u);
}

// Merges out of the order of their results are ranked by their place: "ab" before "bc" or the other way
// round.
TEST(Tokenizer, MergesRankByTheirPlace) {
  std::string vocab;
  for (int id = 0; id < 256; ++id) {
    std::string
        text;  // bytes in the order of byte_text.h's characters; which byte is which does not matter here
    const int character = id < 94    ? 0x21 + id
                          : id < 106 ? 0xA1 + id - 94
                          : id < 188 ? 0xAE + id - 106
                                     : 0x100 + id - 188;
    if (character == '"' || character == '\\') text += '\\';
    test::AppendUtf8(static_cast<uint32_t>(character), text);
    vocab += fmt::format("\"{}\":{},", text, id);
  }
  const auto encode = [&](const std::string& merges) {
    const std::string json = fmt::format(
        R"({{"model":{{"type":"BPE","vocab":{{{}"ab":256,"bc":257}},"merges":[{}]}},"pre_tokenizer":{{"type":"Sequence",)"
        R"("pretokenizers":[{{"type":"Split","pattern":{{"Regex":"\\p{{L}}+"}},"behavior":"Isolated"}},)"
        R"({{"type":"ByteLevel","add_prefix_space":false,"use_regex":false}}]}}}})",
        vocab, merges);
    return Tokenizer::FromTokenizerJson(json, "tiny")->Encode("abc");
  };
  EXPECT_EQ(encode(R"("a b","b c")"), (std::vector<int32_t>{256, 'c' - '!'}));
  EXPECT_EQ(encode(R"("b c",["a","b"])"), (std::vector<int32_t>{'a' - '!', 257}));
}

TEST(Tokenizer, EncodesFromManyThreads) {
  const auto tokenizer = Tokenizer::FromTokenizerJson(SmallJson(), "small");
  const test::TestStrings strings;
  std::vector<std::vector<int32_t>> expected;
  for (uint64_t number = 0; number < 200; ++number)
    expected.push_back(tokenizer->Encode(strings.Make(number)));
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      for (uint64_t number = 0; number < 200; ++number)
        wrong[t] += tokenizer->Encode(strings.Make(number)) != expected[number];
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4));
}

TEST(Tokenizer, RefusesOtherJson) {
  const std::string& json = SmallJson();
  ExpectJsonRefused("", "no JSON object");
  ExpectJsonRefused("[]", "no JSON object");
  ExpectJsonRefused(json.substr(0, json.size() / 2), "no JSON object");
  ExpectJsonRefused("{}", "no model, expected an object");
  ExpectJsonRefused(std::string(5000, '['), "no JSON object");
  const struct {
    const char *from, *to, *what;
  } cases[] = {
      {R"("type":"BPE")", R"("type":"Uni\ngram")", "model is of type Uni?gram, expected BPE"},
      {R"("normalizer":null)", R"("normalizer":{"type":"NFC"})", "normalizer is set"},
      {R"("dropout":null)", R"("dropout":0.1)", "dropout is set"},
      {R"("byte_fallback":false)", R"("byte_fallback":true)", "byte_fallback of model is true"},
      {R"("end_of_word_suffix":null)", R"("end_of_word_suffix":"</w>")", "end_of_word_suffix is set"},
      {R"("behavior":"Isolated")", R"("behavior":"Removed")", "behavior of Split is Removed"},
      {R"("invert":false)", R"("invert":true)", "invert of Split is true"},
      {R"("use_regex":false)", R"("use_regex":true)", "use_regex of ByteLevel is true"},
      {R"("add_prefix_space":false)", R"("add_prefix_space":true)", "add_prefix_space of ByteLevel is true"},
      {R"("type":"Sequence")", R"("type":"Whitespace")", "pre_tokenizer is of type Whitespace"},
      {R"("Regex":")", R"("Regex":"()", "not a regular expression"},
      {R"("Regex":")", R"("String":")", "no Regex, expected a string"},
      {R"("merges":[)", R"("merges":["x"],"m":[)", "merge 0 is not two tokens"},
      {R"("merges":[)", R"("merges":[["a","b","c"]],"m":[)", "merge 0 is not two tokens"},
      {R"("merges":[)", R"("merges":["日 b"],"m":[)", "merge 0 names ???, which is not a token"},
      {R"("merges":[)", R"("merges":["zz zz"],"m":[)", "which is not a token"},
      {R"("merges":[)", R"("merges":[["z","~"]],"m":[)", "merge 0 gives z~, which is not a token"},
      {R"("merges":[)", R"("merges":7,"m":[)", "merges is not an array"},
      {R"("!":0,)", R"("!!!!!!!!!":0,)", "no token for byte 0x21"},
      {R"("!":0,)", R"("日":0,)", "token 0 is not in byte-level form"},
      {R"("!":0,)", R"("":0,)", "token 0 is not in byte-level form"},
      {R"("!":0,)", R"("!":-1,)", "vocab has id -1"},
      {R"("!":0,)", R"("!":1e3,)", "an id in vocab is not an integer"},
      {R"("!":0,)", R"("!":99999999999,)", "vocab has id 99999999999"},
      {R"("!":0,)", R"("!":16777215,)", "expected each id once"},
      {R"("!":0,)", "", "expected each id once"},
      {R"("!":0,)", R"("!":1,)", "token 1 or its text is there twice"},
      {R"("!":0,"\"":1,)", R"("!":0,"!":1,)", "token 1 or its text is there twice"},
      {R"("id":3072)", R"("id":-5)", "special token id -5"},
      {R"("id":3072)", R"("id":9223372036854775807)", "special token id 9223372036854775807"},
      {R"("id":3072)", R"("id":3073)", "special token id 3073 is there twice"},
      {R"("id":3072)", R"("id":0)", "id 0 has another text in vocab than in added_tokens"},
      {R"("content":"<|startoftext|>")", R"("content":"<|endoftext|>")", "is there twice"},
      {R"("content":"<|startoftext|>")", R"("content":"")", "has 0 bytes"},
      {R"("lstrip":false)", R"("lstrip":true)", "lstrip of added token 3072 is true"},
  };
  for (const auto& [from, to, what] : cases) ExpectJsonRefused(Replace(json, from, to), what);
}

TEST(Tokenizer, RefusesOtherRankFiles) {
  const std::string& ranks = SmallRanks();
  ExpectRanksRefused("", "no token for byte 0x00");
  ExpectRanksRefused("hello", "line 1 is not a rank file entry");
  const std::string first = "IQ== 0\n";  // "!"
  const struct {
    const char *to, *what;
  } cases[] = {
      {"", "expected ranks without gaps from 0"},
      {"IQ== 1\n", "rank 1 is there twice"},
      {"Ig== 0\n", "is there twice"},
      {"IQ==\n", "line 1 is not a rank file entry"},
      {"IQ== \n", "line 1 is not a rank file entry"},
      {"IQ== 0x\n", "line 1 is not a rank file entry"},
      {"IQ== -1\n", "line 1 is not a rank file entry"},
      {"IQ== 99999999999999999999\n", "line 1 is not a rank file entry"},
      {"IQ== 16777215\n", "rank 16777215 among 3072 entries"},
      {"IQ 0\n", "is not base64"},
      {"IR== 0\n", "is not base64"},
      {"I=== 0\n", "is not base64"},
      {"I*== 0\n", "is not base64"},
      {"=Q== 0\n", "is not base64"},
      {" 0\n", "is not base64"},
      {"ISEh 0\n", "no token for byte 0x21"},
  };
  for (const auto& [to, what] : cases) ExpectRanksRefused(Replace(ranks, first, to), what);
  ExpectRanksRefused(Replace(ranks, first, std::string(4000, 'A') + " 0\n"),
                     "has 3000 bytes, expected at most 512");
}

TEST(Tokenizer, RankFilesMayHaveWindowsLineEndsAndAnyOrder) {
  const std::string& ranks = SmallRanks();
  const size_t middle = ranks.find('\n', ranks.size() / 2) + 1;
  const std::string turned = ranks.substr(middle) + "\r\n" + Replace(ranks.substr(0, middle), "\n", "\r\n");
  const auto tokenizer = Tokenizer::FromRankFile(turned, "turned");
  EXPECT_EQ(tokenizer->Encode("the token"), Tokenizer::FromRankFile(ranks, "small")->Encode("the token"));
  EXPECT_EQ(tokenizer->vocab_size(), 3072);  // special tokens only with o200k's number of entries
  EXPECT_EQ(tokenizer->SpecialId("<|start|>"), std::nullopt);
}

TEST(Tokenizer, LoadTellsTheFormatsApart) {
  EXPECT_EQ(Tokenizer::Load(test::kGoldenFolder + "tokenizer.json")->vocab_size(), 3093);
  EXPECT_EQ(Tokenizer::Load(test::kGoldenFolder + "ranks.tiktoken")->vocab_size(), 3072);
  EXPECT_THROW(Tokenizer::Load("no/such/file"), Error);
  EXPECT_THROW(Tokenizer::Load(test::kGoldenFolder), Error);
}

}  // namespace
}  // namespace oxidized
