#include "server/random_id.h"

#include <fmt/core.h>

#include <random>

namespace oxidized::server {

std::string RandomId(std::string_view prefix) {
  static thread_local std::random_device device;  // the kernel's
  return fmt::format("{}{:08x}{:08x}{:08x}", prefix, device(), device(), device());
}

}  // namespace oxidized::server
