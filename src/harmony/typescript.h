// JSON schema -> the TypeScript-like text that tells the model about a tool's arguments. Total over any JSON:
// what a schema says beyond the format becomes `any`.
#pragma once

#include <string>
#include <string_view>

namespace oxidized {

// Properties keep the order of the document. Throws Error(kBadFile) when the text is not JSON or nests deeper
// than 128 levels; `name` stands for the schema in the message.
std::string TypeScriptOf(std::string_view schema_json, std::string_view name);

}  // namespace oxidized
