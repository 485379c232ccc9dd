#include "cli/options/token_ids.h"

#include <charconv>

#include "base/error.h"

namespace oxidized::cli {

std::vector<int32_t> ParseIds(std::string_view text, const std::string& source, ErrorKind kind) {
  constexpr std::string_view kSpace = " \t\r\n\f\v";
  std::vector<int32_t> ids;
  while (true) {
    const size_t begin = text.find_first_not_of(kSpace);
    if (begin == std::string_view::npos) return ids;
    text.remove_prefix(begin);
    const std::string_view word = text.substr(0, text.find_first_of(kSpace));
    int32_t id = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (error != std::errc() || end != word.data() + word.size() || id < 0) {
      Fail(kind, "{}: '{}' is not a token id (expected decimal numbers separated by white space)", source,
           word.substr(0, 40));
    }
    ids.push_back(id);
    text.remove_prefix(word.size());
  }
}

}  // namespace oxidized::cli
