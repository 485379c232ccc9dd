// The short text that Git LFS leaves in place of a large file when only the repository was fetched. Every
// reader of a model's files asks for it first, so that the remedy is named instead of a broken format.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace oxidized {

// Throws Error(kBadFile) if the file with these bytes, or these first bytes, is one.
void RefuseLfsPointer(std::span<const std::byte> file, const std::filesystem::path& path);

}  // namespace oxidized
