// Files that options name to be written, looked at before the work begins: a wrong name costs a line and not
// an answer. What holds for each of them is base/output_file.h's; here is what holds between them.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "base/output_file.h"

namespace oxidized::cli {

struct OutputOption {
  std::string option;
  OutputName name;
};

// A file or folder that an option names to be read.
struct InputOption {
  std::string option;
  std::filesystem::path path;
};

// Throws Error(kUsage) where two options name one file, by links too, or where one would overwrite what is
// read: an input, or a file that is in an input's folder already; what CheckOutput throws, with the option's
// name.
void CheckOutputs(std::span<const OutputOption> files, std::span<const InputOption> inputs);

}  // namespace oxidized::cli
