// Errors and warnings in the words of the command line: the one place that knows which flag is which setting
// of the libraries, and what else the program offers about it.
#pragma once

#include <string>

#include "base/error.h"

namespace oxidized::cli {

std::string FlagOf(Setting setting);  // "--expert-memory"

// One line: the error with flags in place of settings, and what the program offers.
std::string Told(const Error& error);

// From now on what libraries log is a line on stderr: "oxidized_gpt_oss: warning: ...".
void ShowLog();

}  // namespace oxidized::cli
