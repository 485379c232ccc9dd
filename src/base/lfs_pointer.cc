#include "base/lfs_pointer.h"

#include <algorithm>
#include <string_view>

#include "base/error.h"

namespace oxidized {

void RefuseLfsPointer(std::span<const std::byte> file, const std::filesystem::path& path) {
  constexpr std::string_view kStart = "version https://git-lfs";
  const std::string_view text(reinterpret_cast<const char*>(file.data()),
                              std::min(file.size(), kStart.size()));
  if (text != kStart) return;
  Fail(ErrorKind::kBadFile,
       "{}: a Git LFS pointer in place of the file: fetch the file itself (git lfs pull)", path.string());
}

}  // namespace oxidized
