// A CpuTier as the parameter of a test: its name, in the test's name and wherever the test shows it. Not a
// library.
#pragma once

#include <gtest/gtest.h>

#include <ostream>
#include <string>

#include "kernels/cpu/cpu_kernels.h"

namespace oxidized {

// Found by GoogleTest, which would print bytes.
inline void PrintTo(const CpuTier& tier, std::ostream* out) { *out << tier.kernels->name; }

inline std::string TierName(const ::testing::TestParamInfo<CpuTier>& info) {
  return info.param.kernels->name;
}

}  // namespace oxidized
