// What a server or a file name says, made fit for one line of a message. Internal to hub/.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace oxidized::hub {

// In single quotes, without control characters, cut at 160 bytes with "…".
std::string Quoted(std::string_view text);

// The same without quotes.
std::string NeutralizedLine(std::string_view text);

// "13.8 GB": decimal units, as disks and the hub count.
std::string Bytes(int64_t bytes);

// A path or a branch name inside a URL; '/' stays only where `keep_slash`.
std::string PercentEncoded(std::string_view text, bool keep_slash);

// Parts of a path inside a repository: not empty, no "." or "..", no control characters, no backslash, not
// absolute, no part longer than a file system takes.
bool IsPlainRelativePath(std::string_view path);

}  // namespace oxidized::hub
