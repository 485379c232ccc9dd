#include "cli/terminal/progress_line.h"

#include <fmt/core.h>

namespace oxidized::cli {

std::string Amount(double bytes) {
  if (bytes >= 1e9) return fmt::format("{:.1f} GB", bytes / 1e9);
  return bytes >= 1e6 ? fmt::format("{:.1f} MB", bytes / 1e6) : fmt::format("{:.0f} kB", bytes / 1e3);
}

std::string ProgressLine::At(int64_t done_bytes, int64_t total_bytes, Clock::time_point now) const {
  const std::string line =
      fmt::format("{}: {:.1f} of {:.1f} GB", what_, static_cast<double>(done_bytes) / 1e9,
                  static_cast<double>(total_bytes) / 1e9);
  const double seconds = std::chrono::duration<double>(now - begin_).count();
  if (seconds <= 0.0 || done_bytes <= 0) return line;
  return line + fmt::format(", {}/s", Amount(static_cast<double>(done_bytes) / seconds));
}

}  // namespace oxidized::cli
