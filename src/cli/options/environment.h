// The variables whose names begin with OXIDIZED_: those of the options (parse.cc names them), and the others,
// which stand here and nowhere else as a list. A name that is neither is most likely misspelt, and would do
// nothing in silence.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace oxidized::cli {

struct EnvironmentVariable {
  const char* name;
  const char* meaning;  // for the man page; nullptr: of the build or the tests, none of the program's
};
std::span<const EnvironmentVariable> OtherVariables();

// One line for each "NAME=value" of `environment` (ends with nullptr) that has our prefix and is not known,
// with the nearest name that is.
std::vector<std::string> UnknownVariables(const char* const* environment,
                                          const std::vector<std::string>& of_options);

}  // namespace oxidized::cli
