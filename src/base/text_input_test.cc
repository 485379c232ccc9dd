#include "base/text_input.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace oxidized {
namespace {

using std::string_literals::operator""s;

TEST(TextInputTest, MarksAreNotTextAndUtf16IsDecoded) {
  const std::string text = "h\xC3\xA9 \xF0\x9F\x99\x82\n";  // é, and a character beyond 16 bits
  for (const std::string& bytes : {text, "\xEF\xBB\xBF" + text, "\xFF\xFEh\0\xE9\0 \0\x3D\xD8\x42\xDE\n\0"s,
                                   "\xFE\xFF\0h\0\xE9\0 \xD8\x3D\xDE\x42\0\n"s}) {
    EXPECT_EQ(DecodeText(bytes, "x"), text);
    TextDecoder decoder("x");  // in pieces of one byte it is the same text
    std::string pieces;
    for (const char byte : bytes) decoder.Push({&byte, 1}, pieces);
    decoder.Finish(pieces);
    EXPECT_EQ(pieces, text);
  }
  EXPECT_EQ(DecodeText("", "x"), "");
  EXPECT_EQ(DecodeText("\xEF\xBB\xBF", "x"), "");
  EXPECT_EQ(DecodeText("\xFF\xFE", "x"), "");
  EXPECT_EQ(DecodeText("ab\xEF\xBB\xBF", "x"), "ab\xEF\xBB\xBF");  // a mark elsewhere is a character
}

TEST(TextInputTest, WhatIsPlainIsNotCopied) {
  const std::string bytes = "\xEF\xBB\xBFplain";
  std::string store;
  EXPECT_EQ(DecodedText(bytes, "x", store).data(), bytes.data() + 3);
}

TEST(TextInputTest, AFewControlCharactersAreText) {
  const std::string text = "\x1b[1mbold\x1b[0m\x01 and \x02 more of it";
  EXPECT_EQ(DecodeText(text, "x"), text);
}

TEST(TextInputTest, WhatIsNoTextIsRefusedWithItsPlace) {
  const std::pair<std::string, std::string> refused[] = {
      {"h\0i\0"s, "x: byte 1 is 0: UTF-16 without a byte order mark"},
      {"many letters and\0"s, "x: byte 16 is 0"},
      {"\x1F\x04@\x04\x38\x04\x32\x04\x35\x04\x42\x04",
       "x: every second byte is a control character: UTF-16 without"},
      {"\x04\x1F\x04@\x04\x38\x04\x32", "x: every second byte is a control character"},
      {"caf\xE9 au lait", "x: byte 3 (0xe9) is not UTF-8"},
      {"caf\xE9", "x: ends inside a character, at byte 3"},
      {"\xEF\xBB\xBF\x80", "x: byte 3 (0x80) is not UTF-8"},
      {"\xFF\xFE\0\0h\0\0\0"s, "x: UTF-32"},
      {"\0\0\xFE\xFF"s, "x: UTF-32"},
      {"\xFF\xFEh\0\0\xDC"s, "x: bytes 4 and 5 are half a character"},
      {"\xFF\xFE\x3D\xD8h\0"s, "x: bytes 2 and 3 are half a character"},
      {"\xFF\xFEh\0i"s, "x: ends inside a character, at byte 4"},
      {"\xFF\xFEh\0\0\0"s, "x: byte 4 is 0"},
  };
  for (const auto& [bytes, says] : refused) {
    try {
      DecodeText(bytes, "x");
      ADD_FAILURE() << says;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBadFile);
      EXPECT_TRUE(std::string(error.what()).starts_with(says)) << error.what();
    }
  }
}

}  // namespace
}  // namespace oxidized
