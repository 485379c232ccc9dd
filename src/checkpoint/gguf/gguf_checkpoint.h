// A GGUF model opened: files, configuration, weights and vocabulary put together. Called by OpenCheckpoint.
#pragma once

#include <filesystem>

#include "checkpoint/checkpoint.h"

namespace oxidized {

// `file`: a GGUF file, or any shard of one. Throws like OpenCheckpoint.
Checkpoint OpenGguf(const std::filesystem::path& file, const OpenOptions& options);

}  // namespace oxidized
