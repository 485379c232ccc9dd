#include "bench/figure.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace oxidized::cli {
namespace {

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

// The median over the samples of numerator / denominator; unknown where a sample lacks one of them.
template <typename Numerator, typename Denominator>
double MedianRatio(const Figure& figure, Numerator numerator, Denominator denominator) {
  std::vector<double> ratios;
  for (const Sample& sample : figure.samples) {
    if (!(numerator(sample) > 0.0) || !(denominator(sample) > 0.0)) return kUnknown;
    ratios.push_back(numerator(sample) / denominator(sample));
  }
  return Median(std::move(ratios));
}

}  // namespace

double Median(std::vector<double> values) {
  if (values.empty()) return kUnknown;
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

Summary Summarize(const Figure& figure) {
  std::vector<double> values, probes;
  Summary summary;
  for (const Sample& sample : figure.samples) {
    values.push_back(sample.value);
    if (sample.read_bytes_per_s > 0.0) probes.push_back(sample.read_bytes_per_s / 1e9);
    summary.major_faults += sample.major_faults;
  }
  summary.median = Median(values);
  const auto range = [](const std::vector<double>& of, double& min, double& max) {
    min = of.empty() ? kUnknown : *std::min_element(of.begin(), of.end());
    max = of.empty() ? kUnknown : *std::max_element(of.begin(), of.end());
  };
  range(values, summary.min, summary.max);
  range(probes, summary.probe_min_gb_per_s, summary.probe_max_gb_per_s);

  const auto seconds = [](const Sample& s) { return s.seconds; };
  const auto bytes = [](const Sample& s) { return s.bytes; };
  const auto flops = [](const Sample& s) { return s.flops; };
  summary.gb_per_s = MedianRatio(figure, bytes, seconds) / 1e9;
  summary.gflop_per_s = MedianRatio(figure, flops, seconds) / 1e9;
  summary.memory_share =
      MedianRatio(figure, bytes, [](const Sample& s) { return s.seconds * s.read_bytes_per_s; });
  summary.arithmetic_share =
      MedianRatio(figure, flops, [&](const Sample& s) { return s.seconds * figure.arithmetic_per_s; });
  return summary;
}

std::string ShareText(const Summary& summary) {
  const bool memory = std::isfinite(summary.memory_share),
             arithmetic = std::isfinite(summary.arithmetic_share);
  if (!memory && !arithmetic) return "";
  if (!arithmetic || (memory && summary.memory_share >= summary.arithmetic_share))
    return fmt::format("{:.0f} % mem", 100.0 * summary.memory_share);
  return fmt::format("{:.0f} % arith", 100.0 * summary.arithmetic_share);
}

}  // namespace oxidized::cli
