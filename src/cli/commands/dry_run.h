// --dry-run: says what would fit and how fast it could be, loads nothing.
#pragma once

#include "cli/options/options.h"

namespace oxidized::cli {

// Text or (--json) one record on stdout. Returns 0 when it fits, kNoMemory's code when it does not. Throws
// Error.
int RunDryRun(const GenerateOptions& options);

}  // namespace oxidized::cli
