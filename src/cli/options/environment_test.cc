#include "cli/options/environment.h"

#include <gtest/gtest.h>

namespace oxidized::cli {
namespace {

std::vector<std::string> Unknown(std::vector<const char*> environment) {
  environment.push_back(nullptr);
  return UnknownVariables(environment.data(), {"OXIDIZED_TOP_K", "OXIDIZED_TOP_P", "OXIDIZED_MAX_TOKENS"});
}

TEST(Environment, AMisspeltVariableIsNamedWithTheNearest) {
  for (const auto& [wrong, nearest] :
       {std::pair{"OXIDIZED_CPU_TEIR=avx2", "OXIDIZED_CPU_TIER"},
        std::pair{"OXIDIZED_MAXTOKENS=5", "OXIDIZED_MAX_TOKENS"},
        std::pair{"OXIDIZED_TOP_Q=1", "OXIDIZED_TOP_K"}, std::pair{"OXIDIZED_MODLE=", "OXIDIZED_MODEL"},
        std::pair{"OXIDIZED_\x1b", "OXIDIZED_MODEL"}}) {
    const std::vector<std::string> lines = Unknown({"HOME=/", wrong});
    ASSERT_EQ(lines.size(), 1u) << wrong;
    EXPECT_TRUE(lines[0].ends_with(nearest)) << lines[0];
    EXPECT_EQ(lines[0].find('\x1b'), std::string::npos);
  }
}

TEST(Environment, WhatIsKnownOrNotOursIsNoMistake) {
  EXPECT_EQ(Unknown({"OXIDIZED_TOP_K=1", "OXIDIZED=1", "oxidized_cpu_teir=1", "CPU_TEIR=1"}),
            std::vector<std::string>());
  std::vector<const char*> all;
  for (const EnvironmentVariable& variable : OtherVariables()) all.push_back(variable.name);
  EXPECT_EQ(Unknown(all), std::vector<std::string>());
}

}  // namespace
}  // namespace oxidized::cli
