// The chat of --interactive. Called by generate.cc.
#pragma once

#include "cli/options/options.h"

namespace oxidized::cli {

// Returns the exit code. Throws Error for what ends the program: a model that cannot be loaded, and without a
// terminal any failed answer.
int RunInteractive(const GenerateOptions& options);

}  // namespace oxidized::cli
