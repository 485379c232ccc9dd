// What other programs read of a report.
#include "bench/report.h"

#include <gtest/gtest.h>

namespace oxidized {
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

TEST(BenchTable, AFigureWithADisturbedRunIsMarked) {
  BenchReport report;
  report.figures = {
      {.test = "tg4", .threads = 1, .unit = "tokens/s", .samples = {{.value = 2, .seconds = 1.0}}},
      {.test = "tg8",
       .threads = 1,
       .unit = "tokens/s",
       .samples = {{.value = 3, .seconds = 1.0, .waited_share = 0.5}}}};
  const std::string table = Print(report, BenchFormat::kTable, false);
  EXPECT_NE(table.find("*3.000"), std::string::npos) << table;
  EXPECT_EQ(table.find("*2.000"), std::string::npos) << table;
  EXPECT_NE(table.find("*: in a run its threads waited"), std::string::npos) << table;
}

// Teams, tests and kernels have tables of their own; what all rows share, or none has, is not a column.
TEST(BenchTable, SaysOnceWhatAllRowsShare) {
  const auto sample = [](double value) {
    return Sample{.value = value, .seconds = 1.0, .read_bytes_per_s = 9e9};
  };
  BenchReport report;
  report.figures = {
      {.test = "pp16", .threads = 1, .unit = "tokens/s", .samples = {sample(1), sample(3), sample(2)}},
      {.test = "ttft16", .threads = 1, .unit = "ms", .samples = {sample(12345.6)}},
      {.test = "kernels", .subject = "add", .rows = 1, .threads = 1, .unit = "us", .samples = {sample(1.5)}},
      {.test = "kernels", .subject = "add", .rows = 256, .threads = 1, .unit = "us", .samples = {sample(20)}},
      {.test = "pp16", .threads = 2, .unit = "tokens/s", .samples = {sample(500)}},
  };
  EXPECT_EQ(Print(report, BenchFormat::kTable, false),
            "\n1 thread; in the order of the tests; probe 9.0..9.0 GB/s:\n"
            "test        unit  median         range\n"
            "pp16    tokens/s   2.000  1.000..3.000\n"
            "ttft16        ms   12346  12346..12346\n"
            "\nkernels, 1 thread, us; in the order of the tests; probe 9.0..9.0 GB/s:\n"
            "test   median         range\n"
            "add\n"
            "  1     1.500  1.500..1.500\n"
            "  256   20.00  20.00..20.00\n"
            "\n2 threads, tokens/s; in the order of the tests; probe 9.0..9.0 GB/s:\n"
            "test  median         range\n"
            "pp16   500.0  500.0..500.0\n");
}

}  // namespace
}  // namespace oxidized
