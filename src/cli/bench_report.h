// What `bench` prints: one set of figures as a table for people, as markdown, CSV and JSON.
#pragma once

#include <string>
#include <vector>

#include "cli/figure.h"
#include "kernels/cpu/ceilings.h"

namespace oxidized::cli {

struct BenchReport {
  struct Team {
    int threads = 0;
    std::string device;  // "" when no model was loaded
    Ceilings ceilings;
  };
  std::string model;  // "" when none was loaded
  std::string executor, precision, tier;
  uint64_t seed = 0;
  int32_t runs = 0;
  std::vector<Team> teams;
  std::vector<Figure> figures;
};

enum class BenchFormat : uint8_t { kTable, kMarkdown, kCsv, kJson };

// `stages`: where the time of each test's steps went, too (not in CSV, which has one kind of row).
std::string Print(const BenchReport& report, BenchFormat format, bool stages);

}  // namespace oxidized::cli
