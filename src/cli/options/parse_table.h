// The one place where CLI11's types show: between parse.cc and command.cc, which fill an App, and
// option_table.cc, which reads it.
#pragma once

#include <CLI/CLI.hpp>

#include "cli/options/option_table.h"

namespace oxidized::cli {

OptionTable MakeOptionTable(const CLI::App& app);

}  // namespace oxidized::cli
