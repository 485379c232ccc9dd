// Questions about what stands under a name. Nothing here throws filesystem_error: a name that cannot be
// looked at (a folder that may not be read, links that go round, a name that is too long) is an Error like
// any other.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace oxidized {

// All throw Error(kBadFile), naming the path and the reason. What is not there is no error, but for the last
// two.
bool IsThere(const std::filesystem::path& path);
bool IsFolder(const std::filesystem::path& path);
// Whether the file that is meant is there. Also throws if something else has its name: a folder, a pipe, a
// device, which would be taken for an absent file, or waited for.
bool IsFile(const std::filesystem::path& path);
// What is in a folder, in order of names.
std::vector<std::filesystem::path> EntriesOf(const std::filesystem::path& folder);
// The bytes of a regular file, of at most `max_bytes`. Never waits.
std::string ReadWholeFile(const std::filesystem::path& path, size_t max_bytes);

}  // namespace oxidized
