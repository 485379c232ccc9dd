// The small JSON files of a model folder (config.json, the index, …), parsed under caps on size, nesting and
// repeated keys. Internal to checkpoint/: readers include <nlohmann/json.hpp> themselves, in their .cc.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace oxidized {

inline constexpr size_t kMaxSmallJsonBytes = 16u << 20;

// The whole text (base/text_input.h) of a regular file of at most `max_bytes`. Throws Error(kBadFile).
std::string ReadSmallFile(const std::filesystem::path& path, size_t max_bytes = kMaxSmallJsonBytes);

// Always an object at the top. Throws Error(kBadFile), `name` standing for the file.
nlohmann::json ParseSmallJson(std::string_view text, const std::string& name);

// The double that prints as the shortest decimal of `value`: 1e-05 rather than 9.999999747378752e-06.
double ShortestDecimal(float value);

}  // namespace oxidized
