// Bytes in, whole characters out: the streaming end of the tokenizer. Tokens may end inside a character; the
// tail is held back until it is complete, and what can never become valid UTF-8 turns into U+FFFD (one for
// each maximal invalid part, as Unicode 15 §3.9 recommends and Rust's lossy decoding does).
#pragma once

#include <string>
#include <string_view>

namespace oxidized {

class Utf8Stream {
 public:
  // Appends bytes; returns the text that is complete now (valid UTF-8, possibly empty).
  std::string Push(std::string_view bytes);
  // End of message: what is still held back, as U+FFFD, or empty. Leaves the stream ready for the next
  // message.
  std::string Flush();

 private:
  std::string tail_;
};

// The whole text with every maximal invalid part replaced by U+FFFD.
std::string RepairUtf8(std::string_view bytes);

}  // namespace oxidized
