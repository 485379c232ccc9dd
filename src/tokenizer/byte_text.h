// GPT-2's printable form of bytes, in which tokenizer.json writes its tokens: printable Latin-1 bytes stand
// for themselves, the other 68 are U+0100, U+0101, ... in increasing order ("Ġthe" is " the").
#pragma once

#include <string>
#include <string_view>

namespace oxidized {

// Replaces `bytes` by what `text` stands for; false when a character stands for no byte.
bool DecodeByteText(std::string_view text, std::string& bytes);

// Text of a file for a message: on one line, and not too long.
std::string PrintableStart(std::string_view text);

}  // namespace oxidized
