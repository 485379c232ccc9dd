// JSON for the files of this module (included by .cc files only): bounded parsing and the compact form that
// the renderer puts into prompts.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace oxidized {

using OrderedJson = nlohmann::ordered_json;

// Nesting that any of our recursive walks may meet; also the limit of openai-harmony's reader.
inline constexpr int kMaxJsonDepth = 128;

// Throws Error(kBadFile): "<name>: not valid JSON at byte N: …".
OrderedJson ParseJson(std::string_view text, std::string_view name);

// Without white space, in document order; numbers as Rust's serde_json writes them (1e20, not 1e+20), because
// a default value becomes part of the prompt.
std::string CompactJson(const OrderedJson& value);

// The member, or nullptr: `value` is not an object or lacks it.
const OrderedJson* Member(const OrderedJson& value, const char* key);

}  // namespace oxidized
