// JSON from outside: bounded parsing, and the compact form that the renderer puts into prompts. Who looks
// into a value includes <nlohmann/json.hpp> in its .cc file.
#pragma once

#include <cstddef>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace oxidized {

using OrderedJson = nlohmann::ordered_json;

// Nesting that any of our recursive walks may meet; also the limit of openai-harmony's reader.
inline constexpr int kMaxJsonDepth = 128;

// Throws Error(kBadFile): "<name>: not valid JSON at byte N". An object of more than `most_members` is
// refused: members in order are found one by one, so that many take time by their square.
OrderedJson ParseJson(std::string_view text, std::string_view name,
                      size_t most_members = std::numeric_limits<size_t>::max());

// Without white space, in document order; numbers as Rust's serde_json writes them (1e20, not 1e+20), because
// a default value becomes part of the prompt.
std::string CompactJson(const OrderedJson& value);

// The member, or nullptr: `value` is not an object or lacks it.
const OrderedJson* Member(const OrderedJson& value, const char* key);

}  // namespace oxidized
