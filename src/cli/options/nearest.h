// The known name that a misspelt one is most likely meant to be.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace oxidized::cli {

// Letters to insert, drop or replace (Levenshtein); two that changed places count as one.
size_t EditDistance(std::string_view a, std::string_view b);

// Of several as near, the first. "": none is near enough to be meant.
std::string Nearest(std::string_view word, std::span<const std::string> names);

}  // namespace oxidized::cli
