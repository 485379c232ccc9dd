// Charts as self-contained SVG: lines over logarithmic axes, and stacked bars, light or dark as the viewer
// is. For pictures of measurements; no interaction, no scripts.
#pragma once

#include <string>
#include <vector>

namespace oxidized::cli {

struct LineSeries {
  std::string name;
  std::vector<double> x, y;  // positive
  bool dashed = false;
};
struct LineChart {
  std::string title, x_label, y_label;
  std::vector<LineSeries> series;
};

struct BarChart {
  std::string title, x_label, y_label;
  std::vector<std::string> parts;           // what a bar is stacked of, from below
  std::vector<std::string> bars;            // labels; an empty one is not written
  std::vector<std::vector<double>> values;  // [bars][parts]
};

// One picture, charts below each other. Text is escaped.
class SvgPicture {
 public:
  void Add(const LineChart& chart);
  void Add(const BarChart& chart);
  std::string Finish(const std::string& title) const;

 private:
  int height_ = 40;
  std::string body_;
};

}  // namespace oxidized::cli
