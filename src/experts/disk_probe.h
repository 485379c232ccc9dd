// How fast the disk under a model's files really reads, in the way and in the places the expert store would.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace oxidized {

struct DiskSpeed {
  double bytes_per_s = 0.0;
  const char* method = "";  // "io_uring, direct I/O"; through the page cache the figure may be memory's
};

// Reads pieces scattered over the largest file for about `seconds`. Throws Error(kBadFile, kRequestFailed).
DiskSpeed MeasureDiskSpeed(const std::vector<std::filesystem::path>& files, const std::vector<int64_t>& sizes,
                           double seconds = 0.3);

}  // namespace oxidized
