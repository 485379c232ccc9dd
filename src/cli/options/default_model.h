// The model when none is named: the program's own business, not the libraries'.
#pragma once

#include <filesystem>

namespace oxidized::cli {

// $OXIDIZED_MODEL, else models/demo beside the program's sources or installed under its prefix. Empty: there
// is none.
std::filesystem::path DefaultModelPath();

// `path`, or the default where it is empty.
std::filesystem::path OrDefaultModel(const std::filesystem::path& path);

}  // namespace oxidized::cli
