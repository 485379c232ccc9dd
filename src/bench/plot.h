// `bench plot`: pictures of what `bench --json` wrote, speed against prompt length, depth, batch and threads.
// Draws nothing itself (report/svg_chart.h); called by cli/commands/bench_plot.cc.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bench/figure.h"

namespace oxidized {

// Of one file: what is plotted of its figures.
struct BenchRecord {
  struct Point {
    std::string test;
    int threads = 0;
    double median = 0.0, min = 0.0, max = 0.0;
    bool disturbed = false;  // the threads of a run waited for a processor
  };
  std::string name;  // a precision, a tier, a commit
  std::vector<Point> points;
};
// Throws Error(kBadFile), `path` standing for the file: `json` is not what `bench --json` writes.
BenchRecord ParseBenchRecord(std::string name, std::string_view json, const std::string& path);

struct BenchPicture {
  std::string name, svg;  // "prompt"
};
// One for each kind of test that a record has two points of: "prompt" (ppN), "depth" (tg at depths), "batch"
// (bS) and "threads" (the same test with several --threads). Whiskers go from the lowest to the highest
// sample; a point with a disturbed run is hollow.
std::vector<BenchPicture> PicturesOf(std::span<const BenchRecord> records);

}  // namespace oxidized
