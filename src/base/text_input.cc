#include "base/text_input.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/utf8.h"

namespace oxidized {
namespace {

constexpr std::string_view kUtf16LittleMark = "\xFF\xFE", kUtf16BigMark = "\xFE\xFF";
constexpr std::string_view kUtf32LittleMark("\xFF\xFE\0\0", 4), kUtf32BigMark("\0\0\xFE\xFF", 4);

[[noreturn]] void NoText(const std::string& name, int64_t at) {
  Fail(ErrorKind::kBadFile, "{}: byte {} is 0: UTF-16 without a byte order mark, or not text; expected UTF-8",
       name, at);
}

// The bytes of whole characters that `bytes` begin with; what is left is an unfinished one.
size_t WholeUtf8(std::string_view bytes, const std::string& name, int64_t position) {
  size_t i = 0;
  while (i < bytes.size()) {
    uint64_t word = 0;
    if (i + sizeof(word) <= bytes.size()) {
      std::memcpy(&word, bytes.data() + i, sizeof(word));
      constexpr uint64_t kOnes = 0x0101010101010101, kHigh = 0x8080808080808080;
      if (((word | (word - kOnes)) & kHigh) == 0) {  // ASCII without a byte 0
        i += sizeof(word);
        continue;
      }
    }
    if (bytes[i] == '\0') NoText(name, position + static_cast<int64_t>(i));
    const Utf8Unit unit = NextUtf8(bytes.substr(i));
    if (unit.kind == Utf8Unit::Kind::kIncomplete) break;
    if (unit.kind == Utf8Unit::Kind::kInvalid) {
      Fail(ErrorKind::kBadFile, "{}: byte {} ({:#04x}) is not UTF-8: expected text in UTF-8", name,
           position + static_cast<int64_t>(i), static_cast<unsigned>(static_cast<unsigned char>(bytes[i])));
    }
    i += unit.length;
  }
  return i;
}

// UTF-16 of a script whose characters are all above U+00FF has no byte 0, but every second byte is the same
// control character or one near it: U+0410 is 10 04. (Where both bytes are letters, as in Chinese, nothing
// tells it from ASCII.)
void RefuseUtf16WithoutZeros(std::string_view text, const std::string& name) {
  const std::string_view begin = text.substr(0, 64);
  const auto control = [](char c) {
    return c > 0 && c < 0x20 && std::string_view("\t\n\v\f\r\x1b\b").find(c) == std::string_view::npos;
  };
  size_t controls[2] = {0, 0};
  for (size_t i = 0; i < begin.size(); ++i) controls[i % 2] += control(begin[i]) ? 1 : 0;
  if (begin.size() >= 4 && 4 * std::max(controls[0], controls[1]) > begin.size())
    Fail(ErrorKind::kBadFile,
         "{}: every second byte is a control character: UTF-16 without a byte order mark, or not text; "
         "expected UTF-8",
         name);
}

bool BeginsLike(std::string_view bytes, std::string_view mark) {
  return bytes.size() < mark.size() && mark.starts_with(bytes);
}

}  // namespace

bool TextDecoder::KnowForm(bool at_end) {
  if (form_ != Form::kUnknown) return true;
  if (!at_end) {
    for (const std::string_view mark : {kUtf8Mark, kUtf16BigMark, kUtf32LittleMark, kUtf32BigMark}) {
      if (BeginsLike(held_, mark)) return false;
    }
  }
  size_t mark = 0;
  if (held_.starts_with(kUtf32LittleMark) || held_.starts_with(kUtf32BigMark))
    Fail(ErrorKind::kBadFile, "{}: UTF-32: expected text in UTF-8", name_);
  if (held_.starts_with(kUtf16LittleMark)) {
    form_ = Form::kUtf16Little;
    mark = kUtf16LittleMark.size();
  } else if (held_.starts_with(kUtf16BigMark)) {
    form_ = Form::kUtf16Big;
    mark = kUtf16BigMark.size();
  } else {
    form_ = Form::kUtf8;
    RefuseUtf16WithoutZeros(held_, name_);
    mark = held_.starts_with(kUtf8Mark) ? kUtf8Mark.size() : 0;
  }
  held_.erase(0, mark);
  position_ += static_cast<int64_t>(mark);
  return true;
}

void TextDecoder::Take(std::string& text) {
  if (form_ != Form::kUtf8) return TakeUtf16(text);
  const size_t whole = WholeUtf8(held_, name_, position_);
  text.append(held_, 0, whole);
  held_.erase(0, whole);
  position_ += static_cast<int64_t>(whole);
}

void TextDecoder::TakeUtf16(std::string& text) {
  const bool little = form_ == Form::kUtf16Little;
  const auto unit = [&](size_t at) {
    const auto first = static_cast<unsigned char>(held_[at]),
               second = static_cast<unsigned char>(held_[at + 1]);
    return static_cast<uint32_t>(little ? second << 8 | first : first << 8 | second);
  };
  const auto high = [](uint32_t code) { return code >= 0xD800 && code < 0xDC00; };
  const auto low = [](uint32_t code) { return code >= 0xDC00 && code < 0xE000; };
  size_t i = 0;
  for (size_t bytes = 0; i + 2 <= held_.size(); i += bytes) {
    uint32_t code = unit(i);
    bytes = high(code) ? 4 : 2;
    if (i + bytes > held_.size()) break;
    const int64_t at = position_ + static_cast<int64_t>(i);
    if (code == 0) NoText(name_, at);
    if (low(code) || (high(code) && !low(unit(i + 2))))
      Fail(ErrorKind::kBadFile, "{}: bytes {} and {} are half a character of UTF-16", name_, at, at + 1);
    if (high(code)) code = 0x10000 + ((code - 0xD800) << 10) + (unit(i + 2) - 0xDC00);
    AppendUtf8(code, text);
  }
  held_.erase(0, i);
  position_ += static_cast<int64_t>(i);
}

void TextDecoder::Push(std::string_view bytes, std::string& text) {
  held_ += bytes;
  if (KnowForm(/*at_end=*/false)) Take(text);
}

void TextDecoder::Finish(std::string& text) {
  KnowForm(/*at_end=*/true);
  Take(text);
  if (!held_.empty()) Fail(ErrorKind::kBadFile, "{}: ends inside a character, at byte {}", name_, position_);
}

std::string_view DecodedText(std::string_view bytes, const std::string& name, std::string& store) {
  const std::string_view start = bytes.substr(0, 4);
  const bool other = start.starts_with(kUtf16LittleMark) || start.starts_with(kUtf16BigMark) ||
                     start.starts_with(kUtf32BigMark);
  const size_t mark = start.starts_with(kUtf8Mark) ? kUtf8Mark.size() : 0;
  const std::string_view text = bytes.substr(mark);
  if (!other && WholeUtf8(text, name, static_cast<int64_t>(mark)) == text.size()) {
    RefuseUtf16WithoutZeros(text, name);
    return text;
  }
  TextDecoder decoder(name);
  decoder.Push(bytes, store);
  decoder.Finish(store);
  return store;
}

std::string DecodeText(std::string_view bytes, const std::string& name) {
  std::string store;
  return std::string(DecodedText(bytes, name, store));
}

}  // namespace oxidized
