// Options of the commands that write checkpoints: which format, which stored types.
#pragma once

#include <filesystem>
#include <optional>

#include "cli/options/command.h"
#include "rewrite/tensor_layout.h"

namespace oxidized::cli {

// --format, --dense-type and --expert-type. `packed`: set by --format packed-dense, where a command writes
// that too (checkpoint/packed_file.h).
void AddFormatOptions(Command& command, std::optional<CheckpointFormat>& format, LayoutTypes& types,
                      bool* packed = nullptr);

// The format asked for, or the one that the name of the output says. Throws Error(kUsage) when they differ.
CheckpointFormat FormatOf(std::optional<CheckpointFormat> asked, const std::filesystem::path& out);

}  // namespace oxidized::cli
