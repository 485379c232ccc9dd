#include "report/svg_chart.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "base/printable.h"

namespace oxidized {
namespace {

constexpr int kWidth = 760, kChartHeight = 320, kHeading = 40;
constexpr size_t kColors = 6;
constexpr double kLeft = 76, kRight = 190, kTop = 40, kBottom = 48;  // margins of the plotting area

std::string Escape(const std::string& text) {
  std::string escaped;
  for (const char c : EscapeUnprintable(text)) {  // XML has no control characters
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string Text(double x, double y, const char* classes, const std::string& text, const char* more = "") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" class=\"{}\"{}>{}</text>\n", x, y, classes, more,
                     Escape(text));
}
std::string Line(double x1, double y1, double x2, double y2, const char* classes) {
  return fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" class=\"{}\"/>\n", x1, y1,
                     x2, y2, classes);
}

// Values to pixels along one axis, with the values worth a tick.
struct Axis {
  double low, high, from, to;  // values, pixels
  bool logarithmic;

  double At(double value) const {
    const double share =
        logarithmic ? std::log(value / low) / std::log(high / low) : (value - low) / (high - low);
    return from + share * (to - from);
  }
};

// Powers of the base that enclose the values.
Axis LogAxis(double low, double high, double base, double from, double to) {
  const double first = std::pow(base, std::floor(std::log(low) / std::log(base) + 1e-9));
  double last = std::pow(base, std::ceil(std::log(high) / std::log(base) - 1e-9));
  if (last <= first) last = first * base;
  return {first, last, from, to, true};
}

// The step of a linear axis: 1, 2 or 5 times a power of ten, about five of them up to `high`.
double NiceStep(double high) {
  const double rough = high / 5, power = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double step : {1.0, 2.0, 5.0}) {
    if (step * power >= rough) return step * power;
  }
  return 10.0 * power;
}

// The class of the color of a series, and of the area of a mark.
size_t Color(size_t series) { return series % kColors; }

}  // namespace

// The plotting area of a chart.
struct SvgPicture::Frame {
  double left, right, top, bottom;
};

SvgPicture::SvgPicture() : width_(kWidth), height_(kHeading) {}

SvgPicture::Frame SvgPicture::NextFrame(const std::string& title, const std::string& x_label,
                                        const std::string& y_label) {
  const Frame f{kLeft, kWidth - kRight, height_ + kTop, height_ + kChartHeight - kBottom};
  height_ += kChartHeight;
  const double middle = (f.top + f.bottom) / 2;
  if (!title.empty()) body_ += Text(f.left, f.top - 14, "t", title);
  body_ +=
      Text((f.left + f.right) / 2, f.bottom + 38, "l m", x_label) +
      Text(16, middle, "l m", y_label, fmt::format(" transform=\"rotate(-90 16 {:.1f})\"", middle).c_str());
  return f;
}

// The picture grows with the names.
void SvgPicture::Legend(const Frame& f, size_t place, const std::string& name, const std::string& mark) {
  constexpr double kLetterWidth = 7;  // about
  const double y = f.top + 8 + 20 * static_cast<double>(place), x = f.right + 44;
  body_ += fmt::format("<g transform=\"translate({:.1f} {:.1f})\">{}</g>\n", f.right + 14, y, mark) +
           Text(x, y + 4, "l", name);
  width_ = std::max(width_, static_cast<int>(x + kLetterWidth * static_cast<double>(name.size())));
}

void SvgPicture::LinearTicks(const Frame& f, double step, double high) {
  const Axis y{0.0, high, f.bottom, f.top, false};
  for (int tick = 0; tick * step <= high * 1.001; ++tick) {
    const double at = y.At(tick * step);
    body_ += Line(f.left, at, f.right, at, "g") +
             Text(f.left - 6, at + 4, "n e", fmt::format("{:g}", tick * step));
  }
}

void SvgPicture::Add(const LineChart& chart) {
  const Frame f = NextFrame(chart.title, chart.x_label, chart.y_label);
  std::vector<double> xs, ys;
  for (const LineSeries& series : chart.series) {
    xs.insert(xs.end(), series.x.begin(), series.x.end());
    ys.insert(ys.end(), series.y.begin(), series.y.end());
    ys.insert(ys.end(), series.high.begin(), series.high.end());
  }
  if (xs.empty()) return;
  std::sort(xs.begin(), xs.end());
  xs.erase(std::unique(xs.begin(), xs.end()), xs.end());
  const auto [y_low, y_high] = std::minmax_element(ys.begin(), ys.end());

  // Where a value of x stands on its axis: by itself, or by its place among all.
  const auto place_of = [&](double x) {
    const auto place = std::lower_bound(xs.begin(), xs.end(), x) - xs.begin();
    return chart.logarithmic ? x : static_cast<double>(place);
  };
  const auto last = static_cast<double>(std::max<size_t>(2, xs.size()) - 1);
  const Axis x = chart.logarithmic ? LogAxis(xs.front(), xs.back(), 2.0, f.left, f.right)
                                   : Axis{0.0, last, f.left, f.right, false};
  const auto x_tick = [&](double at, double value) {
    body_ += Text(at, f.bottom + 16, "n m", fmt::format("{:g}", value));
  };
  Axis y{};
  if (chart.logarithmic) {
    y = LogAxis(*y_low, *y_high, 10.0, f.bottom, f.top);
    for (double tick = x.low; tick <= x.high * 1.001; tick *= 2) {
      body_ += Line(x.At(tick), f.top, x.At(tick), f.bottom, "g");
      x_tick(x.At(tick), tick);
    }
    for (double tick = y.low; tick <= y.high * 1.001; tick *= 10) {
      body_ += Line(f.left, y.At(tick), f.right, y.At(tick), "g") +
               Text(f.left - 6, y.At(tick) + 4, "n e", fmt::format("{:g}", tick));
    }
  } else {
    if (*y_high <= 0.0) return;
    const double step = NiceStep(*y_high);
    y = {0.0, std::ceil(*y_high / step) * step, f.bottom, f.top, false};
    LinearTicks(f, step, y.high);
    for (const double value : xs) x_tick(x.At(place_of(value)), value);
  }

  for (size_t s = 0; s < chart.series.size(); ++s) {
    const LineSeries& series = chart.series[s];
    const std::string classes = fmt::format("c{}{}", Color(s), series.dashed ? " d" : "");
    std::string points;
    for (size_t i = 0; i < series.x.size(); ++i) {
      const double at = x.At(place_of(series.x[i]));
      points += fmt::format("{:.1f},{:.1f} ", at, y.At(series.y[i]));
      if (!series.low.empty())
        body_ += Line(at, y.At(series.low[i]), at, y.At(series.high[i]), classes.c_str());
      if (series.dashed) continue;
      const bool hollow = !series.doubtful.empty() && series.doubtful[i];
      body_ += fmt::format(
          "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\" class=\"{}\"><title>{:g}: "
          "{:.4g}{}</title></circle>\n",
          at, y.At(series.y[i]), hollow ? 5 : 3,
          hollow ? fmt::format("c{} h", Color(s)) : fmt::format("f{}", Color(s)), series.x[i], series.y[i],
          hollow ? ", disturbed" : "");
    }
    body_ += fmt::format("<polyline points=\"{}\" class=\"{}\"/>\n", points, classes);
    Legend(f, s, series.name, fmt::format("<polyline points=\"0,0 24,0\" class=\"{}\"/>", classes));
  }
}

void SvgPicture::Add(const BarChart& chart) {
  const Frame f = NextFrame(chart.title, chart.x_label, chart.y_label);
  double high = 0.0;
  for (const std::vector<double>& bar : chart.values) {
    double sum = 0.0;
    for (const double part : bar) sum += part;
    high = std::max(high, sum);
  }
  if (high <= 0.0) return;
  const double step = NiceStep(high);
  const Axis y{0.0, std::ceil(high / step) * step, f.bottom, f.top, false};
  LinearTicks(f, step, y.high);
  const double pitch = (f.right - f.left) / static_cast<double>(chart.values.size());
  for (size_t b = 0; b < chart.values.size(); ++b) {
    const double left = f.left + pitch * (static_cast<double>(b) + 0.12);
    double below = 0.0;
    for (size_t p = 0; p < chart.values[b].size(); ++p) {
      const double value = chart.values[b][p], top = y.At(below + value);
      body_ += fmt::format(
          "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.2f}\" class=\"f{}\"><title>{} {}: "
          "{:.4g}</title></rect>\n",
          left, top, pitch * 0.76, y.At(below) - top, Color(p), Escape(chart.bars[b]), Escape(chart.parts[p]),
          value);
      below += value;
    }
    if (!chart.bars[b].empty()) body_ += Text(left + pitch * 0.38, f.bottom + 16, "n m", chart.bars[b]);
  }
  for (size_t p = 0; p < chart.parts.size(); ++p)
    Legend(f, p, chart.parts[p],
           fmt::format("<rect y=\"-5\" width=\"24\" height=\"10\" class=\"f{}\"/>", Color(p)));
}

std::string SvgPicture::Finish(const std::string& title) const {
  return fmt::format(
             R"svg(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0} {1}" width="{0}" height="{1}" role="img">
<title>{2}</title>
{3}
<style>
svg {{ --bg: #fff; --fg: #1f2328; --dim: #59636e; --grid: #d8dee4; --c0: #0969da; --c1: #bc4c00; --c2: #1a7f37; --c3: #8250df; --c4: #bf3989; --c5: #9a6700; }}
@media (prefers-color-scheme: dark) {{
svg {{ --bg: #0d1117; --fg: #f0f6fc; --dim: #9198a1; --grid: #30363d; --c0: #4493f8; --c1: #f0883e; --c2: #3fb950; --c3: #ab7df8; --c4: #f778ba; --c5: #d29922; }}
}}
text {{ font: 12px system-ui, sans-serif; fill: var(--fg); }}
.h {{ font-size: 15px; font-weight: 600; }} .t {{ font-size: 13px; font-weight: 600; }} .l, .n {{ fill: var(--dim); }}
.n {{ font-size: 11px; }} .m {{ text-anchor: middle; }} .e {{ text-anchor: end; }} .g {{ stroke: var(--grid); stroke-width: 1; }}
polyline {{ fill: none; stroke-width: 2; }} .d {{ stroke-dasharray: 5 4; }}
.c0 {{ stroke: var(--c0); }} .c1 {{ stroke: var(--c1); }} .c2 {{ stroke: var(--c2); }} .c3 {{ stroke: var(--c3); }} .c4 {{ stroke: var(--c4); }} .c5 {{ stroke: var(--c5); }}
.h {{ fill: none; }}
.f0 {{ fill: var(--c0); }} .f1 {{ fill: var(--c1); }} .f2 {{ fill: var(--c2); }} .f3 {{ fill: var(--c3); }} .f4 {{ fill: var(--c4); }} .f5 {{ fill: var(--c5); }}
</style>
<rect width="100%" height="100%" style="fill: var(--bg)"/>
)svg",
             width_, height_, Escape(title), kPictureSign) +
         Text(kLeft, 26, "h", title) + body_ + "</svg>\n";
}

}  // namespace oxidized
