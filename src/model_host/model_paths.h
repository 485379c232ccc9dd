// What a model path means: a file or folder, a model of the hub, or nothing.
#pragma once

#include <filesystem>
#include <optional>

#include "hub/pull.h"

namespace oxidized {

// The small model: $OXIDIZED_MODEL, else models/demo beside the program's sources or installed under its
// prefix. Throws Error(kBadFile) saying where it looked.
std::filesystem::path DefaultModelPath();

// What a model path means: a file or folder; "hf:org/name[@revision][:QUANT]", a model of the hub, from its
// cache or fetched now (docs/download.md); empty: DefaultModelPath(). Throws Error, Interrupted.
std::filesystem::path ResolveModelPath(const std::filesystem::path& path, const hub::PullWatch& watch = {});
// The same of what is here already: nothing is fetched. nullopt: it is not in the cache.
std::optional<std::filesystem::path> FindModelHere(const std::filesystem::path& path);

}  // namespace oxidized
