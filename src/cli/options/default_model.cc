#include "cli/options/default_model.h"

#include <cstdlib>

namespace oxidized::cli {

std::filesystem::path DefaultModelPath() {
  if (const char* chosen = std::getenv("OXIDIZED_MODEL"); chosen != nullptr && *chosen != '\0') return chosen;
  std::error_code ignored;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
  for (const char* place : {"../models/demo", "models/demo", "../share/oxidized_gpt_oss/models/demo"}) {
    if (std::filesystem::exists(program / place / "config.json", ignored))
      return (program / place).lexically_normal();
  }
  return {};
}

std::filesystem::path OrDefaultModel(const std::filesystem::path& path) {
  return path.empty() ? DefaultModelPath() : path;
}

}  // namespace oxidized::cli
