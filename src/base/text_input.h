// The encoding of text that is handed to the program: prompts, chats, files of options, JSON files. One rule
// for all of them:
//
//   UTF-8 is taken, a byte order mark before it is not part of the text;
//   UTF-16 is decoded if a byte order mark says that it is;
//   a byte 0 or a control character in every second byte (UTF-16 without a mark, or no text), UTF-32 and what
//   is not UTF-8 are refused.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace oxidized {

inline constexpr std::string_view kUtf8Mark = "\xEF\xBB\xBF";

// Text that comes in pieces, as from a pipe.
class TextDecoder {
 public:
  // `name` stands for the source in errors: "standard input".
  explicit TextDecoder(std::string name) : name_(std::move(name)) {}

  // Appends to `text`, as UTF-8, the characters that are complete now. Throws Error(kBadFile), which names
  // the byte.
  void Push(std::string_view bytes, std::string& text);
  // The same of what is left at the end.
  void Finish(std::string& text);

 private:
  enum class Form : uint8_t { kUnknown, kUtf8, kUtf16Little, kUtf16Big };

  bool KnowForm(bool at_end);
  void Take(std::string& text);
  void TakeUtf16(std::string& text);

  std::string name_;
  Form form_ = Form::kUnknown;
  std::string held_;      // not decoded yet: less than a character, or than a mark
  int64_t position_ = 0;  // byte of the source where held_ begins
};

// A whole text. Throws like TextDecoder.
std::string DecodeText(std::string_view bytes, const std::string& name);

// The same without a copy where there is nothing to decode: a view of `bytes`, or of `store`.
std::string_view DecodedText(std::string_view bytes, const std::string& name, std::string& store);

}  // namespace oxidized
