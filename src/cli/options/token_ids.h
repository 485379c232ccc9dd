// Token ids as text, the way every command reads them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace oxidized::cli {

// Decimal ids separated by white space. Throws Error(kUsage) naming `source` and the first word that is no
// id.
std::vector<int32_t> ParseIds(std::string_view text, const std::string& source, ErrorKind kind);

}  // namespace oxidized::cli
