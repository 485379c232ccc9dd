// The built-in vocabulary is tiktoken's rank file, and a tokenizer.json that holds it is recognised, in every
// way of writing it, and only then.
#include "tokenizer/o200k.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/sha256.h"
#include "tokenizer/merge.h"
#include "tokenizer/splitter.h"
#include "tokenizer/test_strings.h"
#include "tokenizer/tokenizer.h"

namespace oxidized {
namespace {

const TokenTable& Tokens() {
  static const TokenTable tokens = O200kTokens();
  return tokens;
}

TEST(O200k, TheAssetIsTheRankFile) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  Sha256 sha256;
  ASSERT_EQ(Tokens().id_limit(), kO200kTokens);
  for (int32_t id = 0; id < kO200kTokens; ++id) {
    const std::string_view bytes = *Tokens().Bytes(id);
    std::string line;
    for (size_t i = 0; i < bytes.size(); i += 3) {
      uint32_t bits = 0;
      for (size_t j = 0; j < 3; ++j)
        bits = bits << 8 | (i + j < bytes.size() ? static_cast<uint8_t>(bytes[i + j]) : 0);
      for (size_t j = 0; j < 4; ++j) line += i + j <= bytes.size() ? kDigits[bits >> (18 - 6 * j) & 63] : '=';
    }
    sha256.Update(fmt::format("{} {}\n", line, id));
  }
  EXPECT_EQ(sha256.FinishHex(), "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d");
}

TEST(O200k, EveryTokenIsWhatMergingItsBytesGives) {
  const Vocabulary vocabulary = O200kHarmony();
  MergeScratch scratch;
  std::vector<int32_t> ids;
  for (int32_t id = 0; id < kO200kTokens; ++id) {
    ids.clear();
    MergePiece(vocabulary, *vocabulary.tokens.Bytes(id), scratch, ids);
    ASSERT_EQ(ids, std::vector<int32_t>{id});
  }
}

// ---- tokenizer.json ----

struct Split {
  int32_t left, right, result;
};
// In the order of transformers' converter: by result, then left, then right.
const std::vector<Split>& Splits() {
  static const std::vector<Split> splits = [] {
    std::vector<Split> all;
    for (int32_t id = 0; id < kO200kTokens; ++id) {
      const std::string_view bytes = *Tokens().Bytes(id);
      const size_t first = all.size();
      for (size_t cut = 1; cut < bytes.size(); ++cut) {
        const auto left = Tokens().Find(bytes.substr(0, cut)), right = Tokens().Find(bytes.substr(cut));
        if (left && right) all.push_back({*left, *right, id});
      }
      std::sort(all.begin() + static_cast<ptrdiff_t>(first), all.end(),
                [](const Split& a, const Split& b) { return a.left < b.left; });
    }
    return all;
  }();
  return splits;
}

struct Style {
  bool pairs;         // ["a", "b"] rather than "a b"
  bool spaced;        // on lines of their own
  bool escaped;       // nothing but ASCII
  bool merges_first;  // before the vocabulary
};

std::string JsonText(std::string_view bytes, bool escaped) {
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<uint8_t>(c);
    const bool itself = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    const uint32_t code = itself        ? byte
                          : byte < 0x21 ? 0x100u + byte
                          : byte < 0xA1 ? 0x121u + byte - 0x7F
                                        : 0x143u;
    if (escaped && code > 0x7E) {
      text += fmt::format("\\u{:04x}", code);
      continue;
    }
    if (code == '"' || code == '\\') text += '\\';
    test::AppendUtf8(code, text);
  }
  return text;
}

std::string Json(const Style& style, const std::vector<Split>& splits = Splits()) {
  const std::string gap = style.spaced ? "\n      " : "";
  std::vector<std::string> texts;
  for (int32_t id = 0; id < kO200kTokens; ++id) texts.push_back(JsonText(*Tokens().Bytes(id), style.escaped));
  std::string vocab, merges;
  for (int32_t id = 0; id < kO200kTokens; ++id) {
    vocab.append(id ? "," : "").append(gap).append("\"").append(texts[id]).append("\":");
    vocab.append(style.spaced ? " " : "").append(std::to_string(id));
  }
  const std::string open = style.pairs ? "[" + gap + "\"" : "\"";
  const std::string middle = style.pairs ? "\"," + gap + "\"" : " ";
  const std::string close = style.pairs ? "\"" + gap + "]" : "\"";
  for (const Split& split : splits) {
    merges.append(merges.empty() ? "" : ",").append(gap).append(open).append(texts[split.left]);
    merges.append(middle).append(texts[split.right]).append(close);
  }
  vocab = fmt::format("\"vocab\": {{{}{}}}", vocab, gap);
  merges = fmt::format("\"merges\": [{}{}]", merges, gap);
  std::string pattern(kO200kPattern);
  for (size_t at = 0; (at = pattern.find('\\', at)) != std::string::npos; at += 2)
    pattern.insert(at, 1, '\\');
  return fmt::format(
      R"({{"version": "1.0", "added_tokens": [{{"id": 199999, "content": "<|endoftext|>"}},)"
      R"({{"id": 200006, "content": "<|start|>"}}], "normalizer": null, "pre_tokenizer": {{"type": "Sequence",)"
      R"("pretokenizers": [{{"type": "Split", "pattern": {{"Regex": "{}"}}, "behavior": "Isolated"}},)"
      R"({{"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}}]}},)"
      R"("model": {{"type": "BPE", "ignore_merges": true, {}, {}, "dropout": null}}}})",
      pattern, style.merges_first ? merges : vocab, style.merges_first ? vocab : merges);
}

void ExpectSameIds(const Tokenizer& tokenizer) {
  static const auto built_in = Tokenizer::BuiltIn();
  const test::TestStrings strings;
  for (uint64_t number = 0; number < 500; ++number) {
    const std::string text = strings.Make(number);
    ASSERT_EQ(tokenizer.Encode(text), built_in->Encode(text)) << text;
  }
}

TEST(O200kJson, RecognisedInEveryStyle) {
  EXPECT_EQ(Splits().size(), 446'189u);
  uint64_t digest = 0;
  for (const Split& split : Splits()) digest += MergeDigest(split.result, Tokens().Bytes(split.left)->size());
  for (const Style& style : {Style{true, true, false, false}, Style{true, false, false, true},
                             Style{false, true, true, false}, Style{false, false, false, false}}) {
    const std::string json = Json(style);
    const auto rest = WithoutO200kTables(json, Tokens());
    ASSERT_TRUE(rest) << fmt::format("{:#x}", digest);
    EXPECT_LT(rest->size(), 2000u);
    EXPECT_NE(rest->find("\"vocab\": {}"), std::string::npos);
    EXPECT_NE(rest->find("\"merges\": []"), std::string::npos);
    const auto tokenizer = Tokenizer::FromTokenizerJson(json, "published");
    ExpectSameIds(*tokenizer);
    EXPECT_EQ(tokenizer->vocab_size(), 200'007);
    EXPECT_EQ(tokenizer->SpecialId("<|start|>"), 200'006);
    EXPECT_EQ(tokenizer->SpecialId("<|end|>"), std::nullopt);  // not in the file
  }
}

TEST(O200kJson, AnyDifferenceIsLeftToTheReader) {
  const Style style{false, false, false, false};
  const auto recognised = [&](const std::string& json) {
    return WithoutO200kTables(json, Tokens()).has_value();
  };
  const std::string json = Json(style);
  ASSERT_TRUE(recognised(json));
  const auto replaced = [&](const std::string& from, const std::string& to) {
    const size_t at = json.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return std::string(json).replace(at, from.size(), to);
  };
  EXPECT_FALSE(recognised(replaced("\"!\":0", "\"!\":1")));
  EXPECT_FALSE(recognised(replaced("\"!\":0", "\"!\":0.5")));
  EXPECT_FALSE(recognised(replaced(",\"#\":2", ",\"#x\":2")));
  EXPECT_FALSE(recognised(replaced(",\"#\":2", "")));
  EXPECT_FALSE(recognised(replaced(":199997", ":199997,\"new\":199998")));
  EXPECT_FALSE(recognised(replaced("\"model\": {", "\"other\": {")));
  EXPECT_FALSE(recognised(replaced("\"merges\": [", "\"merges\": {")));
  for (size_t cut = 0; cut < json.size(); cut += json.size() / 97) recognised(json.substr(0, cut));

  // Lists of merges: one left out, one twice, two exchanged, one that no two tokens make in place of another.
  const auto with_merges = [&](const auto& change) {
    std::vector<Split> splits = Splits();
    change(splits);
    return Json(style, splits);
  };
  EXPECT_FALSE(recognised(with_merges([](auto& s) { s.erase(s.begin() + 400'000); })));
  EXPECT_FALSE(recognised(with_merges([](auto& s) { s.pop_back(); })));
  EXPECT_FALSE(recognised(with_merges([](auto& s) { s.push_back(s.back()); })));
  EXPECT_FALSE(recognised(with_merges([](auto& s) { s[300'000] = s[299'999]; })));
  EXPECT_FALSE(recognised(with_merges([](auto& s) { std::swap(s[5], s[400'000]); })));
  EXPECT_TRUE(recognised(with_merges([](auto& s) {  // the order within one result changes nothing
    size_t at = 1;
    while (s[at].result != s[at + 1].result) ++at;
    std::swap(s[at], s[at + 1]);
  })));
}

// What the scan leaves to the reader still loads, with the same ids, or is refused as the reader does it.
TEST(O200kJson, TheReaderAgrees) {
  std::vector<Split> splits = Splits();
  std::vector<Split>::iterator last = std::prev(splits.end());
  const std::string listed = Json({true, false, false, false}, {splits.begin(), last});
  ExpectSameIds(*Tokenizer::FromTokenizerJson(listed, "one merge less"));

  std::string special = Json({true, false, false, false});
  const std::string from = R"({"id": 200006, "content": "<|start|>"})";
  special.replace(special.find(from), from.size(), R"({"id": 24912, "content": "hello"})");
  EXPECT_TRUE(WithoutO200kTables(special, Tokens()));
  EXPECT_THROW(Tokenizer::FromTokenizerJson(special, "special hello"), Error);  // merges make a special token
}

}  // namespace
}  // namespace oxidized
