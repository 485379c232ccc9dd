// --benchmark-moe: what the mixture of experts costs in this model on this machine. Called by generate.cc.
#pragma once

#include "cli/options/options.h"

namespace oxidized::cli {

// Runs options.benchmark_runs times and prints every run, median and spread to stdout (--json: one record).
// Returns the exit code. Throws Error.
int RunBenchmarkMoe(const GenerateOptions& options);

}  // namespace oxidized::cli
