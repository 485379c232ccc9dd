// What a model path means: a file or folder, or a model of the hub.
#pragma once

#include <filesystem>
#include <optional>

#include "hub/pull.h"

namespace oxidized {

// What a model path means: a file or folder; "hf:org/name[@revision][:QUANT]", a model of the hub, from its
// cache or fetched now (docs/download.md). Throws Error (kBadFile: no model is named), Interrupted.
std::filesystem::path ResolveModelPath(const std::filesystem::path& path, const hub::PullWatch& watch = {});
// The same of what is here already: nothing is fetched. nullopt: it is not in the cache, or none is named.
std::optional<std::filesystem::path> FindModelHere(const std::filesystem::path& path);

}  // namespace oxidized
