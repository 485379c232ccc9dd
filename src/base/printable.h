// Text for people. Most of it so that it cannot take over a terminal: names of files, values of options, what
// a model wrote.
#pragma once

#include <concepts>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace oxidized {

// Control characters (but newline and tab) as visible symbols, so that text cannot send escape sequences;
// bytes that are not UTF-8 as U+FFFD. Overrides and isolates of writing direction, which show text in another
// order than it has, become U+FFFD.
std::string NeutralizeControls(std::string_view text);

// For a name on one line: control characters, newline and tab among them, and bytes that are not UTF-8 as
// \xNN, directional controls as \uNNNN.
std::string EscapeUnprintable(std::string_view text);

// The one form in which names of files and folders are shown.
inline std::string Shown(const std::filesystem::path& path) { return EscapeUnprintable(path.native()); }

// The text, cut with an ellipsis where it might take more than `columns` cells of a terminal: no character is
// taken for narrower than it is.
std::string FitColumns(std::string_view text, int columns);

// The text with lines of at most `columns` cells, broken at spaces; a longer word stays whole.
std::string WrapColumns(std::string_view text, int columns);

// The same behind a label, which the further lines are indented by: "label  text\n       goes on".
std::string WrapBehind(std::string_view label, std::string_view text, int columns);

// "1 token", "2 tokens"; "1 miss", "2 misses"; "1 entry", "2 entries"; "1 matrix", "2 matrices". `count`:
// digits.
std::string CountedText(std::string_view count, std::string_view noun);
template <std::integral Count>
std::string Counted(Count count, std::string_view noun) {
  return CountedText(std::to_string(count), noun);
}

}  // namespace oxidized
