#include "base/file_status.h"

#include <algorithm>

#include "base/error.h"
#include "base/mapped_file.h"

namespace oxidized {
namespace fs = std::filesystem;
namespace {

fs::file_status StatusOf(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  // What lies below something that is not a folder is not there.
  if (error && status.type() != fs::file_type::not_found)
    Fail(ErrorKind::kBadFile, "{}: {}", path.string(), error.message());
  return status;
}

}  // namespace

bool IsThere(const fs::path& path) { return fs::exists(StatusOf(path)); }

bool IsFolder(const fs::path& path) { return fs::is_directory(StatusOf(path)); }

bool IsFile(const fs::path& path) {
  const fs::file_status status = StatusOf(path);
  if (fs::exists(status) && !fs::is_regular_file(status))
    Fail(ErrorKind::kBadFile, "{}: not a regular file", path.string());
  return fs::exists(status);
}

std::vector<fs::path> EntriesOf(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
    entries.push_back(entry->path());
  if (error) Fail(ErrorKind::kBadFile, "{}: {}", folder.string(), error.message());
  std::sort(entries.begin(), entries.end());
  return entries;
}

std::string ReadWholeFile(const fs::path& path, size_t max_bytes) {
  const MappedFile file = MappedFile::Open(path);
  const auto bytes = file.bytes();
  if (bytes.size() > max_bytes)
    Fail(ErrorKind::kBadFile, "{}: {} bytes long, expected at most {}", path.string(), bytes.size(),
         max_bytes);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace oxidized
