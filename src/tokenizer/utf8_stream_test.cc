#include "tokenizer/utf8_stream.h"

#include <gtest/gtest.h>

#include "tokenizer/test_strings.h"

namespace oxidized {
namespace {

TEST(RepairUtf8, ReplacesEachMaximalInvalidPart) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"", ""},
      {"plain", "plain"},
      {"\xC0\xAF", "\uFFFD\uFFFD"},                      // overlong
      {"\xE0\x80\x80", "\uFFFD\uFFFD\uFFFD"},            // overlong
      {"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},            // surrogate
      {"\xF4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},  // above U+10FFFF
      {"\xF5\xFF", "\uFFFD\uFFFD"},
      {"\xE2\x82", "\uFFFD"},  // unfinished at the end
      {"\xE2\x82X", "\uFFFDX"},
      {"\xF0\x9F\x99\xE2\x82\xAC", "\uFFFD\u20AC"},
      {"\xF1\x80\x80\xE1\x80\xC2X", "\uFFFD\uFFFD\uFFFDX"},  // Unicode 15, table 3-8
      {"\x80\x81", "\uFFFD\uFFFD"},
  };
  for (const auto& [bytes, text] : cases) EXPECT_EQ(RepairUtf8(bytes), text);
  EXPECT_EQ(RepairUtf8(std::string_view("a\0b", 3)), std::string_view("a\0b", 3));
}

TEST(RepairUtf8, KeepsEveryCharacter) {
  for (uint32_t code = 0; code <= 0x10FFFF; ++code) {
    if (code >= 0xD800 && code < 0xE000) continue;
    std::string text;
    test::AppendUtf8(code, text);
    ASSERT_EQ(RepairUtf8(text), text) << code;
  }
}

TEST(Utf8Stream, HoldsBackUnfinishedCharacters) {
  Utf8Stream stream;
  EXPECT_EQ(stream.Push("a\xF0"), "a");
  EXPECT_EQ(stream.Push("\x9F\x92"), "");
  EXPECT_EQ(stream.Push("\x96!"), "💖!");
  EXPECT_EQ(stream.Push(" \xF0\x9F"), " ");
  EXPECT_EQ(stream.Push("Hi"), "\uFFFDHi");
  EXPECT_EQ(stream.Flush(), "");
  EXPECT_EQ(stream.Push("\xE2\x82"), "");
  EXPECT_EQ(stream.Flush(), "\uFFFD");
  EXPECT_EQ(stream.Push("\xAC"), "\uFFFD");  // nothing leaks into the next message
}

// However bytes are cut into pushes, the text is that of repairing all of them at once, and every part is
// valid.
TEST(Utf8Stream, CutsDoNotMatter) {
  test::Random random(1);
  for (int round = 0; round < 20'000; ++round) {
    static constexpr std::string_view kBytes = "aZ\x80\x9F\xA0\xBF\xC2\xDF\xE0\xE2\xED\xEF\xF0\xF1\xF4\xFF";
    std::string bytes;
    for (uint64_t n = random.Below(12); n > 0; --n) bytes += kBytes[random.Below(kBytes.size())];
    Utf8Stream stream;
    std::string text;
    for (size_t at = 0; at < bytes.size();) {
      const size_t length = 1 + random.Below(3);
      const std::string part = stream.Push(std::string_view(bytes).substr(at, length));
      ASSERT_EQ(RepairUtf8(part), part);
      text += part;
      at += length;
    }
    ASSERT_EQ(text + stream.Flush(), RepairUtf8(bytes));
  }
}

}  // namespace
}  // namespace oxidized
