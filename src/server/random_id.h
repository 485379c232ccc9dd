// Names for requests, answers and calls that nobody can guess or meet twice.
#pragma once

#include <string>
#include <string_view>

namespace oxidized::server {

// The prefix and 24 hexadecimal digits.
std::string RandomId(std::string_view prefix);

}  // namespace oxidized::server
