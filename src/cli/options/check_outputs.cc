#include "cli/options/check_outputs.h"

#include "base/error.h"
#include "cli/terminal/wording.h"

namespace oxidized::cli {
namespace {

namespace fs = std::filesystem;

bool SameFile(const fs::path& a, const fs::path& b) {
  std::error_code none;
  return fs::equivalent(a, b, none) || EndOfLinks(a) == EndOfLinks(b);
}

bool Overwrites(const fs::path& output, const fs::path& input) {
  std::error_code none;
  if (!fs::is_regular_file(output, none)) return false;  // new, or a device
  if (fs::is_regular_file(input, none)) return SameFile(output, input);
  return fs::is_directory(input, none) && fs::equivalent(EndOfLinks(output).parent_path(), input, none);
}

}  // namespace

void CheckOutputs(std::span<const OutputOption> files, std::span<const InputOption> inputs) {
  for (size_t i = 0; i < files.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (SameFile(files[i].name.path, files[j].name.path))
        Fail(ErrorKind::kUsage, "{} and {} name the same file, {}: give each its own", files[j].option,
             files[i].option, files[i].name.path.string());
    }
  }
  for (const OutputOption& file : files) {
    for (const InputOption& input : inputs) {
      if (Overwrites(file.name.path, input.path))
        Fail(ErrorKind::kUsage, "{} {} would overwrite what is read, {} {}: give it another name",
             file.option, file.name.path.string(), input.option, input.path.string());
    }
    try {
      CheckOutput(file.name);
    } catch (const Error& error) {
      throw Error(error.kind(), fmt::format("{}: {}", file.option, Told(error)));
    }
  }
}

}  // namespace oxidized::cli
