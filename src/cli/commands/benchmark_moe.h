// The door of `bench moe`, which is also --benchmark-moe: opens the model, measures (bench/moe.h), prints.
#pragma once

#include "cli/options/options.h"

namespace oxidized::cli {

// Runs options.benchmark_runs times and prints every run, median and spread to stdout (--json: one record).
// `name`: what was asked for, in messages. Returns the exit code. Throws Error.
int RunBenchmarkMoe(const GenerateOptions& options, const char* name = "--benchmark-moe");

}  // namespace oxidized::cli
