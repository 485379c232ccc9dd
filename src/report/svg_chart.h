// Charts as self-contained SVG: lines over logarithmic axes or over the points of a measurement side by side,
// and stacked bars, light or dark as the viewer is. The one drawer: `bench moe` and `bench plot` fill these
// structs. No interaction, no scripts.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace oxidized {

struct LineSeries {
  std::string name;
  std::vector<double> x, y;
  bool dashed = false;                      // a limit: without marks
  std::vector<double> low = {}, high = {};  // whiskers of each point; empty: none
  std::vector<bool> doubtful = {};          // marks drawn hollow; empty: none
};
struct LineChart {
  std::string title, x_label, y_label;  // an empty title: the picture's says it
  std::vector<LineSeries> series;
  // Logarithmic axes want positive values. Else each x of a series has a place of its own, evenly, whatever
  // its value, and y begins at 0.
  bool logarithmic = true;
};

struct BarChart {
  std::string title, x_label, y_label;
  std::vector<std::string> parts;           // what a bar is stacked of, from below
  std::vector<std::string> bars;            // labels; an empty one is not written
  std::vector<std::vector<double>> values;  // [bars][parts]
};

// What tells a picture of this program (base/output_file.h).
inline constexpr std::string_view kPictureSign = "<metadata>oxidized_gpt_oss</metadata>";

// One picture, charts below each other. Text is escaped.
class SvgPicture {
 public:
  SvgPicture();
  void Add(const LineChart& chart);
  void Add(const BarChart& chart);
  std::string Finish(const std::string& title) const;

 private:
  struct Frame;
  Frame NextFrame(const std::string& title, const std::string& x_label, const std::string& y_label);
  void Legend(const Frame& frame, size_t place, const std::string& name, const std::string& mark);
  void LinearTicks(const Frame& frame, double step, double high);

  int width_, height_;
  std::string body_;
};

}  // namespace oxidized
