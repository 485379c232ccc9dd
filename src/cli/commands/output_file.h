// Files that a command writes because an option names them: looked at before the work begins, so that a wrong
// name costs a line and not an answer; those that are replaced are the old file or the new one, never half of
// it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace oxidized::cli {

enum class OutputKind : uint8_t {
  kReplaced,  // written beside its name and renamed
  kWritten,   // opened and written as it goes; may be a device or a pipe
};

struct OutputFile {
  std::string option;
  std::filesystem::path path;
  OutputKind kind;
};

// A file or folder that an option names to be read.
struct InputFile {
  std::string option;
  std::filesystem::path path;
};

// Throws Error(kBadFile) for what could not be written; Error(kUsage) where two options name one file, by
// links too, or where one would overwrite what is read: an input, or a file that is in an input's folder
// already.
void CheckOutputs(std::span<const OutputFile> files, std::span<const InputFile> inputs);

// What a rename would replace: the end of a link, never a device, pipe or folder. Throws Error(kBadFile).
std::filesystem::path ReplacedFile(const std::filesystem::path& name);

// Puts `text` under this name when all of it is on disk. Throws Error(kBadFile).
void ReplaceFile(const std::filesystem::path& name, std::string_view text);

}  // namespace oxidized::cli
