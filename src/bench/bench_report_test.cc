// What other programs read of a report.
#include "bench/bench_report.h"

#include <gtest/gtest.h>

namespace oxidized::cli {
namespace {

TEST(BenchCsv, AFieldIsQuotedWhereItWouldEndEarly) {
  BenchReport report;
  for (const char* subject : {"a, b", "a \"b\"", "a"})
    report.figures.push_back({.test = "kernels", .subject = subject, .rows = 4});
  const std::string csv = Print(report, BenchFormat::kCsv, false);
  EXPECT_NE(csv.find("\nkernels,\"a, b\",4,"), std::string::npos) << csv;
  EXPECT_NE(csv.find("\nkernels,\"a \"\"b\"\"\",4,"), std::string::npos) << csv;
  EXPECT_NE(csv.find("\nkernels,a,4,"), std::string::npos) << csv;
}

TEST(BenchCsv, EveryRowHasTheHeadersFields) {
  BenchReport report;
  report.figures.push_back({.test = "kernels", .subject = "a, b, c"});
  const std::string csv = Print(report, BenchFormat::kCsv, false);
  std::vector<int> fields = {1};
  bool quoted = false;
  for (const char c : csv) {
    if (c == '"') quoted = !quoted;
    if (c == '\n') fields.push_back(1);
    if (c == ',' && !quoted) ++fields.back();
  }
  EXPECT_EQ(fields, (std::vector<int>{fields[0], fields[0], 1})) << csv;
}

}  // namespace
}  // namespace oxidized::cli
