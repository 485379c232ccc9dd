// Text that a terminal cannot be taken over with: names of files, values of options, what a model wrote.
#pragma once

#include <string>
#include <string_view>

namespace oxidized {

// Control characters (but newline and tab) as visible symbols, so that text cannot send escape sequences.
std::string NeutralizeControls(std::string_view text);

}  // namespace oxidized
