#include "tokenizer/splitter.h"

#include <gtest/gtest.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <vector>

#include "base/error.h"

namespace oxidized {
namespace {

using Pieces = std::vector<std::string>;

Pieces Split(const Splitter& splitter, std::string_view text) {
  Pieces pieces;
  Splitter::Walk walk(splitter, text);
  for (std::string_view piece; walk.Next(piece);) pieces.emplace_back(piece);
  return pieces;
}

std::string Repeat(std::string_view unit, size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += unit;
  return text;
}

const Splitter& O200k() {
  static const Splitter splitter(kO200kPattern, "o200k");
  return splitter;
}

TEST(Splitter, PiecesOfO200k) {
  const std::pair<std::string_view, Pieces> cases[] = {
      {"", {}},
      {"Hello, World!", {"Hello", ",", " World", "!"}},
      {"  \n  x", {"  \n", " ", " x"}},
      {"12345678", {"123", "456", "78"}},
      {"日A", {"日", "A"}},
      {"\u0301 A B", {"\u0301", " A", " B"}},
      {"\u0301AB", {"\u0301", "AB"}},
      {"DON'T we'Ve o'x", {"DON'T", " we'Ve", " o", "'x"}},
      {"it'ſ", {"it'ſ"}},  // U+017F folds to s
      {"a/b//\r\nc", {"a", "/b", "//\r\n", "c"}},
      {std::string_view("\0a", 2), {std::string("\0a", 2)}},
  };
  for (const auto& [text, pieces] : cases) EXPECT_EQ(Split(O200k(), text), pieces) << text;
  EXPECT_EQ(Split(O200k(), std::string(100, ' ') + "word"), (Pieces{std::string(99, ' '), " word"}));
}

// White_Space and nothing else ends a run of symbols; PCRE2's own \s would also take U+180E.
TEST(Splitter, WhiteSpaceIsUnicodes) {
  for (const char* space :
       {"\u0085", "\u00a0", "\u1680", "\u2003", "\u2028", "\u202f", "\u205f", "\u3000", "\x0b"}) {
    EXPECT_EQ(Split(O200k(), std::string("!") + space), (Pieces{"!", space}));
  }
  for (const char* other : {"\u180e", "\u200b", "\ufeff", "\x1c", "\x1f"}) {
    EXPECT_EQ(Split(O200k(), std::string("!") + other), (Pieces{std::string("!") + other}));
  }
}

TEST(Splitter, IsCompiledToMachineCode) {
  uint32_t available = 0;
  pcre2_config(PCRE2_CONFIG_JIT, &available);
  EXPECT_EQ(O200k().jitted(), available == 1);
}

// Runs of a million characters must neither meet the matcher's limits nor take a time beyond linear (which
// here would be hours), with the compiled pattern and with the interpreter that stands in where machine code
// is forbidden.
TEST(Splitter, LongRunsAreLinear) {
  const Splitter interpreted("(*NO_JIT)" + std::string(kO200kPattern), "interpreted");
  constexpr size_t kBytes = 1'000'000;
  for (const Splitter* splitter : {&O200k(), &interpreted}) {
    for (const char* unit : {"a", "!", "\n", "\u0301", "日", "A\u0301", "🙂"}) {
      EXPECT_EQ(Split(*splitter, Repeat(unit, kBytes)).size(), 1u) << unit;
    }
    EXPECT_EQ(Split(*splitter, Repeat(" ", kBytes)).size(), 1u);
    EXPECT_EQ(Split(*splitter, Repeat(" ", kBytes) + "x").size(), 2u);
    EXPECT_EQ(Split(*splitter, Repeat("\u3000", kBytes) + "x").size(), 2u);
    EXPECT_EQ(Split(*splitter, Repeat("日A", kBytes)).size(), 2u);
    EXPECT_EQ(Split(*splitter, Repeat("\n ", kBytes) + "x").size(), 2u);
    EXPECT_EQ(Split(*splitter, Repeat("9", kBytes)).size(), (kBytes + 2) / 3);
    EXPECT_EQ(Split(*splitter, Repeat(" a", kBytes)).size(), kBytes / 2);
  }
  // Capitals make the first alternative give back the whole run before the second takes it.
  EXPECT_EQ(Split(O200k(), Repeat("A", 16 * kBytes)).size(), 1u);
  EXPECT_EQ(Split(interpreted, Repeat("A", kBytes)).size(), 1u);
}

TEST(Splitter, WhatThePatternLeavesOutIsAPiece) {
  EXPECT_EQ(Split(Splitter("b+", "test"), "aabbac"), (Pieces{"aa", "bb", "ac"}));
  EXPECT_EQ(Split(Splitter("b*", "test"), "äbbé"), (Pieces{"ä", "bb", "é"}));  // empty matches
  EXPECT_EQ(Split(Splitter("a\\K", "test"), "aa"), (Pieces{"aa"}));
  EXPECT_EQ(Split(Splitter(R"([^\s]+)", "test"), "a\u3000b"), (Pieces{"a", "\u3000", "b"}));
}

TEST(Splitter, RefusesWhatIsNoPattern) {
  for (const std::string& pattern : {std::string(), std::string("(a"), std::string(1 << 20, 'a'),
                                     std::string("\\C"), std::string("a\\"), std::string("[\xFF]")}) {
    EXPECT_THROW(Splitter(pattern, "test"), Error) << pattern.substr(0, 20);
  }
}

TEST(Splitter, CatastrophicPatternEndsWithAnError) {
  const Splitter splitter("(?:(?:x+)+)+y", "test");
  try {
    Split(splitter, std::string(100, 'x') + " y");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadFile);
    EXPECT_NE(std::string(error.what()).find("match limit"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace oxidized
