#include "base/printable.h"

#include <gtest/gtest.h>

namespace oxidized {
namespace {

using namespace std::string_view_literals;

TEST(Printable, ControlsBecomeVisible) {
  EXPECT_EQ(NeutralizeControls("a\0b\x1b[2J\x7f\n\tc"sv), "a\u2400b\u241B[2J\u2421\n\tc");
  EXPECT_EQ(NeutralizeControls("\u009B2J"), "\uFFFD2J");
  EXPECT_EQ(NeutralizeControls("grün \u200F漢字 🙂"), "grün \u200F漢字 🙂");
}

TEST(Printable, NothingChangesTheOrderOfText) {
  EXPECT_EQ(NeutralizeControls("a\u202Eb\u2066c\u2069"), "a\uFFFDb\uFFFDc\uFFFD");
  EXPECT_EQ(NeutralizeControls("\u2029\u202F\u2065\u206A"), "\u2029\u202F\u2065\u206A");  // their neighbours
}

TEST(Printable, NamesStayOnOneLine) {
  EXPECT_EQ(EscapeUnprintable("a\0\n\t\x7f\u0085\u202Eb"sv), "a\\x00\\x0a\\x09\\x7f\\x85\\u202eb");
  EXPECT_EQ(EscapeUnprintable("\xE2\x80"), "\\xe2\\x80");  // cut short
}

TEST(Printable, LinesFitTheirColumns) {
  EXPECT_EQ(FitColumns("abc", 3), "abc");
  EXPECT_EQ(FitColumns("abcd", 3), "ab…");
  EXPECT_EQ(FitColumns("äöüß", 4), "äöüß");
  EXPECT_EQ(FitColumns("äöüß", 3), "äö…");
  EXPECT_EQ(FitColumns("漢字", 4), "漢字");
  EXPECT_EQ(FitColumns("漢字", 3), "漢…");
  EXPECT_EQ(FitColumns("漢字", 2), "…");
  EXPECT_EQ(FitColumns("abc", 1), "…");
  EXPECT_EQ(FitColumns("abc", 0), "");
  EXPECT_EQ(FitColumns("", 0), "");
}

TEST(Printable, LinesBreakAtSpacesToTheWidthOfATerminal) {
  EXPECT_EQ(WrapColumns("one two three", 13), "one two three");
  EXPECT_EQ(WrapColumns("one two three", 12), "one two\nthree");
  EXPECT_EQ(WrapColumns("one two three", 7), "one two\nthree");
  EXPECT_EQ(WrapColumns("one two three", 6), "one\ntwo\nthree");
  EXPECT_EQ(WrapColumns("a_long_word and more", 5), "a_long_word\nand\nmore");
  EXPECT_EQ(WrapColumns("one\ntwo six", 7), "one\ntwo six");
  EXPECT_EQ(WrapColumns("日本 x", 5), "日本\nx");
  EXPECT_EQ(WrapColumns("", 5), "");
}

TEST(Printable, LinesBehindALabelAreIndentedByIt) {
  EXPECT_EQ(WrapBehind("a: ", "one two three", 80), "a: one two three");
  EXPECT_EQ(WrapBehind("a: ", "one two three", 10), "a: one two\n   three");
  EXPECT_EQ(WrapBehind("", "one two", 3), "one\ntwo");
}

TEST(Printable, OneIsNoPlural) {
  EXPECT_EQ(Counted(0, "token"), "0 tokens");
  EXPECT_EQ(Counted(1, "token"), "1 token");
  EXPECT_EQ(Counted(2, "token"), "2 tokens");
  EXPECT_EQ(Counted(1, "miss"), "1 miss");
  EXPECT_EQ(Counted(3, "miss"), "3 misses");
  EXPECT_EQ(Counted(uint64_t{1} << 63, "entry"), "9223372036854775808 entries");
  EXPECT_EQ(Counted(size_t{1}, "matrix"), "1 matrix");
  EXPECT_EQ(Counted(0, "matrix"), "0 matrices");
  EXPECT_EQ(Counted(-4, "prefetch"), "-4 prefetches");
}

TEST(Printable, NamesHaveOneFormWhateverTheirBytes) {
  const std::string name = "a\x1b]0;b\x07\n\t\xff\xc3\u202e\u00e9\xe2\x82\u0085z";
  EXPECT_EQ(EscapeUnprintable(name), "a\\x1b]0;b\\x07\\x0a\\x09\\xff\\xc3\\u202e\u00e9\\xe2\\x82\\x85z");
  EXPECT_EQ(Shown(name), EscapeUnprintable(name));
  EXPECT_EQ(EscapeUnprintable(EscapeUnprintable(name)), EscapeUnprintable(name));
  EXPECT_EQ(NeutralizeControls("a\xff\xc3(\u00e9"), "a\uFFFD\uFFFD(\u00e9");
}

}  // namespace
}  // namespace oxidized
