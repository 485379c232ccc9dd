// Which figures of a record become points of which picture.
#include "bench/plot.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace oxidized {
namespace {

BenchRecord Record(const std::string& name, std::vector<BenchRecord::Point> points) {
  return {name, std::move(points)};
}

TEST(BenchPlot, AKindOfTestWithTwoPointsIsAPicture) {
  const std::vector<BenchRecord> records = {Record("tiny", {{"pp4", 2, 10.0, 9.0, 11.0},
                                                            {"pp8", 2, 12.0, 12.0, 13.0},
                                                            {"tg2", 2, 5.0, 5.0, 5.0},
                                                            {"b2", 2, 7.0, 7.0, 7.0},
                                                            {"b512", 2, 9.0, 9.0, 9.0},
                                                            {"ttft16", 2, 1.0, 1.0, 1.0}})};
  const std::vector<BenchPicture> pictures = PicturesOf(records);
  ASSERT_EQ(pictures.size(), 2u);
  EXPECT_EQ(pictures[0].name, "prompt");
  EXPECT_EQ(pictures[1].name, "batch");
  EXPECT_NE(pictures[0].svg.find(">2 threads<"), std::string::npos);
  EXPECT_NE(pictures[0].svg.find("<title>8: 12</title>"), std::string::npos);
  EXPECT_NE(pictures[1].svg.find("<title>512: 9</title>"), std::string::npos);
}

TEST(BenchPlot, TwoFilesAreTwoSeriesByName) {
  const std::vector<BenchRecord> records = {
      Record("a<b", {{"pp4", 1, 1.0, 1.0, 1.0}, {"pp8", 1, 1.0, 1.0, 1.0}}),
      Record("c", {{"pp4", 1, 2.0, 2.0, 2.0}, {"pp8", 1, 2.0, 2.0, 2.0}, {"pp8", 2, 2.0, 2.0, 2.0}})};
  const std::vector<BenchPicture> pictures = PicturesOf(records);
  ASSERT_EQ(pictures.size(), 2u);
  EXPECT_NE(pictures[0].svg.find(">a&lt;b 1 thread<"), std::string::npos);
  EXPECT_NE(pictures[0].svg.find(">c 1 thread<"), std::string::npos);
  EXPECT_EQ(pictures[1].name, "threads");
  EXPECT_NE(pictures[1].svg.find(">c pp8<"), std::string::npos);
}

TEST(BenchPlot, APointWithADisturbedRunIsHollow) {
  const auto figure = [](const char* test, const char* disturbed) {
    return fmt::format(R"({{"test":"{}","subject":"","threads":1,"median":2,"min":1,"max":3,"samples":[
                        {{"value":2,"disturbed":false}},{{"value":3,"disturbed":{}}}]}})",
                       test, disturbed);
  };
  const auto svg = [&](const char* disturbed) {
    const std::string json =
        fmt::format(R"({{"figures":[{},{}]}})", figure("pp4", "false"), figure("pp8", disturbed));
    const std::vector<BenchRecord> records = {ParseBenchRecord("a", json, "f.json")};
    return PicturesOf(records).at(0).svg;
  };
  EXPECT_NE(svg("true").find("<title>8: 2, disturbed</title>"), std::string::npos);
  EXPECT_NE(svg("true").find("<title>4: 2</title>"), std::string::npos);
  EXPECT_NE(svg("true").find("hollow: a run was disturbed"), std::string::npos);
  EXPECT_EQ(svg("false").find("disturbed"), std::string::npos);
}

TEST(BenchPlot, WhatIsNoRecordIsRefused) {
  for (const char* text : {"", "[]", "{}", R"({"figures":[{"test":"pp4"}]})", R"({"figures":3})"}) {
    try {
      ParseBenchRecord("x", text, "f.json");
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBadFile);
    }
  }
  EXPECT_TRUE(
      ParseBenchRecord("x", R"({"figures":[{"test":"kernels","subject":"a"}]})", "f.json").points.empty());
}

}  // namespace
}  // namespace oxidized
