#include "base/error.h"

#include <cstdio>
#include <cstdlib>

namespace oxidized::internal {

void CheckFailed(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "%s:%d: invariant broken: %s (this is a defect, please report it)\n", file, line,
               condition);
  std::abort();
}

}  // namespace oxidized::internal
