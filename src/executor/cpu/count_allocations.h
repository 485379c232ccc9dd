// For tests: how often this program has called operator new. count_allocations_test.cc replaces it, in a file
// of its own so that no compiler sees through it.
#pragma once

#include <cstdint>

namespace oxidized::test {

int64_t Allocations();

}  // namespace oxidized::test
