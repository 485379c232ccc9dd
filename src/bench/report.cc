#include "bench/report.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "base/printable.h"
#include "base/text_table.h"
#include "bench/figure_json.h"

namespace oxidized {
namespace {

using Cells = std::vector<std::string>;

std::string Decimal(double value, int digits) {
  return std::isfinite(value) ? fmt::format("{:.{}f}", value, digits) : std::string("-");
}
// Three significant digits or more.
std::string Number(double value) {
  return Decimal(value, value < 10 ? 3 : value < 100 ? 2 : value < 1000 ? 1 : 0);
}
std::string Percent(double share) {
  return std::isfinite(share) ? fmt::format("{:.1f} %", 100.0 * share) : "-";
}

std::string NameOf(const Figure& figure) {
  std::string name = figure.test;
  if (!figure.subject.empty()) name += " " + figure.subject;
  if (figure.rows > 0) name += fmt::format(" {}", figure.rows);
  return name;
}

// Every column, for Markdown.
TextTable FigureTable(const BenchReport& report) {
  TextTable table{{"test", "threads", "unit", "median", "min", "max", "GB/s", "of memory", "GFLOP/s",
                   "of arithmetic", "probe GB/s"},
                  {}};
  for (const Figure& figure : report.figures) {
    const Summary s = Summarize(figure);
    table.rows.push_back({NameOf(figure), std::to_string(figure.threads), figure.unit, Number(s.median),
                          Number(s.min), Number(s.max), Decimal(s.gb_per_s, 1), Percent(s.memory_share),
                          Decimal(s.gflop_per_s, 1), Percent(s.arithmetic_share),
                          std::isfinite(s.probe_min_gb_per_s)
                              ? fmt::format("{:.1f}..{:.1f}", s.probe_min_gb_per_s, s.probe_max_gb_per_s)
                              : "-"});
  }
  return table;
}

// Whether two figures are rows of one table on a terminal: tests of one team, or subjects of one test.
bool SameTable(const Figure& a, const Figure& b) {
  if (a.threads != b.threads) return false;
  return a.subject.empty() ? b.subject.empty() : !b.subject.empty() && a.test == b.test;
}

// What all rows share stands in the line above the table; a subject has a line by itself, and below it one
// for each of its counts of rows.
std::string TableOf(std::span<const Figure> figures) {
  TextTable table{{"test", "unit", "median", "range", "GB/s", "of mem", "GFLOP/s", "of arith"}, {}};
  double least = std::numeric_limits<double>::infinity(), most = 0.0;
  bool any_disturbed = false;
  for (size_t i = 0; i < figures.size(); ++i) {
    const Figure& figure = figures[i];
    const Summary s = Summarize(figure);
    const bool grouped = !figure.subject.empty();
    if (grouped && (i == 0 || figures[i - 1].subject != figure.subject))
      table.rows.push_back({figure.subject});
    const auto known = [](double value, std::string text) { return std::isfinite(value) ? text : ""; };
    const bool disturbed = std::any_of(figure.samples.begin(), figure.samples.end(),
                                       [](const Sample& sample) { return sample.disturbed(); });
    any_disturbed |= disturbed;
    table.rows.push_back(
        {grouped ? fmt::format("  {}", figure.rows) : NameOf(figure), figure.unit,
         (disturbed ? "*" : "") + Number(s.median), fmt::format("{}..{}", Number(s.min), Number(s.max)),
         known(s.gb_per_s, Decimal(s.gb_per_s, 1)), known(s.memory_share, Percent(s.memory_share)),
         known(s.gflop_per_s, Decimal(s.gflop_per_s, 1)),
         known(s.arithmetic_share, Percent(s.arithmetic_share))});
    if (!std::isfinite(s.probe_min_gb_per_s)) continue;
    least = std::min(least, s.probe_min_gb_per_s);
    most = std::max(most, s.probe_max_gb_per_s);
  }
  table.DropEmpty();
  const std::string unit = table.DropCommon("unit");
  std::string heading = Counted(figures.front().threads, "thread");
  if (!figures.front().subject.empty()) heading = figures.front().test + ", " + heading;
  if (!unit.empty()) heading += ", " + unit;
  heading += "; in the order of the tests";
  if (most > 0.0) heading += fmt::format("; probe {:.1f}..{:.1f} GB/s", least, most);
  const char* mark = any_disturbed ? "*: in a run its threads waited for a processor\n" : "";
  return heading + ":\n" + Aligned(table) + mark;
}

std::string Tables(const BenchReport& report) {
  std::string text;
  const std::span<const Figure> all = report.figures;
  for (size_t begin = 0, end; begin < all.size(); begin = end) {
    for (end = begin + 1; end < all.size() && SameTable(all[begin], all[end]);) ++end;
    text += "\n" + TableOf(all.subspan(begin, end - begin));
  }
  return text;
}

TextTable StageTable(const Figure& figure) {
  const Summary summary = Summarize(figure);
  const double probe = (summary.probe_min_gb_per_s + summary.probe_max_gb_per_s) / 2 * 1e9;
  TextTable table{{"stage", "ms a step", "share", "GB/s", "of memory", "GFLOP/s", "of arithmetic"}, {}};
  double all_us = 0.0;
  for (const StageCost& stage : figure.stages) all_us += stage.microseconds;
  for (const StageCost& stage : figure.stages) {
    if (stage.microseconds <= 0.0) continue;
    const double seconds = stage.microseconds / 1e6, bytes = static_cast<double>(stage.bytes),
                 flops = static_cast<double>(stage.flops), none = std::nan("");
    table.rows.push_back(
        {stage.stage,
         Decimal(stage.microseconds / 1e3 / static_cast<double>(std::max<int64_t>(1, figure.steps)), 3),
         Percent(stage.microseconds / all_us), Decimal(bytes > 0 ? bytes / seconds / 1e9 : none, 1),
         Percent(bytes > 0 ? bytes / seconds / probe : none),
         Decimal(flops > 0 ? flops / seconds / 1e9 : none, 1),
         Percent(flops > 0 && figure.arithmetic_per_s > 0 ? flops / seconds / figure.arithmetic_per_s
                                                          : none)});
  }
  return table;
}

// How the weights are held, for people.
std::string Held(const BenchReport::Weights& w) {
  std::string text = w.mapped ? "weights mapped" : "weights read into memory";
  const auto mebibytes = [](int64_t bytes) {
    return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / 1048576.0);
  };
  if (w.converted_bytes > 0) text += fmt::format(", {} decoded in memory", mebibytes(w.converted_bytes));
  if (w.packed_bytes > 0)
    text +=
        fmt::format(", {} packed {}", mebibytes(w.packed_bytes), w.packed_file ? "in a file" : "in memory");
  if (w.arranged_bytes > 0) text += fmt::format(", {} {}", mebibytes(w.arranged_bytes), w.arrangement);
  if (w.expert_slots > 0) text += fmt::format(", {} of {} experts at once", w.expert_slots, w.stored_experts);
  return text;
}

std::string Heading(const BenchReport& report) {
  std::string text;
  if (report.weights) {
    std::string how = fmt::format("executor {}, precision {}", report.executor, report.precision);
    if (!report.activations.empty()) how += fmt::format(", activations {}", report.activations);
    how += "; " + Held(*report.weights);
    text += EscapeUnprintable(report.model) + "\n" + WrapColumns(how, kTableColumns) + "\n";
  } else if (!report.model.empty()) {
    text += fmt::format("the shapes of {}\n", EscapeUnprintable(report.model));
  }
  for (const BenchReport::Team& team : report.teams) {
    const Ceilings& c = team.ceilings;
    text += fmt::format("ceilings, tier {}, {}: memory {:.1f} GB/s, f32 {:.0f} GFLOP/s", team.tier,
                        Counted(team.threads, "thread"), c.read_bytes_per_s / 1e9, c.f32_per_s / 1e9);
    std::string more;
    if (c.bf16_per_s > 0) more += fmt::format(", bf16 {:.0f} GFLOP/s", c.bf16_per_s / 1e9);
    if (c.int8_per_s > 0) more += fmt::format(", int8 {:.0f} GOP/s", c.int8_per_s / 1e9);
    if (!more.empty()) text += ",\n  " + more.substr(2);
    text += '\n';
  }
  return text;
}

std::string ForPeople(const BenchReport& report, bool stages, bool markdown) {
  std::string text = Heading(report);
  if (!markdown) text += Tables(report);
  if (markdown && !report.figures.empty()) text += "\n" + Markdown(FigureTable(report));
  for (const Figure& figure : report.figures) {
    const TextTable table = StageTable(figure);
    if (!stages || table.rows.empty()) continue;
    text += fmt::format("\n{}, {} in {}; stages in the order of a step:\n{}", NameOf(figure),
                        Counted(figure.steps, "step"), Counted(std::ssize(figure.samples), "run"),
                        markdown ? "\n" + Markdown(table) : Aligned(table));
  }
  return text;
}

// A line of CSV as RFC 4180 has it: a field is quoted where it would end early.
std::string CsvLine(const Cells& cells) {
  std::string text;
  const char* separator = "";
  for (const std::string& cell : cells) {
    text += std::exchange(separator, ",");
    if (cell.find_first_of(",\"\r\n") == std::string::npos) {
      text += cell;
      continue;
    }
    text += '"';
    for (const char c : cell) text += c == '"' ? "\"\"" : std::string(1, c);
    text += '"';
  }
  return text + '\n';
}

std::string Csv(const BenchReport& report) {
  std::string text =
      CsvLine({"test", "subject", "rows", "threads", "tier", "precision", "activations", "unit", "runs",
               "median", "min", "max", "gb_per_s", "memory_share", "gflop_per_s", "arithmetic_share",
               "probe_min_gb_per_s", "probe_max_gb_per_s", "major_faults"});
  const auto number = [](double value) {
    return std::isfinite(value) ? fmt::format("{}", value) : std::string();
  };
  for (const Figure& f : report.figures) {
    const Summary s = Summarize(f);
    Cells cells = {f.test,
                   f.subject,
                   std::to_string(f.rows),
                   std::to_string(f.threads),
                   f.tier,
                   report.precision,
                   report.activations,
                   f.unit,
                   std::to_string(f.samples.size())};
    for (const double value : {s.median, s.min, s.max, s.gb_per_s, s.memory_share, s.gflop_per_s,
                               s.arithmetic_share, s.probe_min_gb_per_s, s.probe_max_gb_per_s})
      cells.push_back(number(value));
    cells.push_back(std::to_string(s.major_faults));
    text += CsvLine(cells);
  }
  return text;
}

using Record = nlohmann::ordered_json;  // NaN becomes null

Record WeightsJson(const std::optional<BenchReport::Weights>& weights) {
  if (!weights) return nullptr;
  const BenchReport::Weights& w = *weights;
  Record json = {{"held", w.mapped ? "mapped" : "read"},
                 {"converted_bytes", w.converted_bytes},
                 {"packed", w.packed_bytes == 0 ? "none"
                            : w.packed_file     ? "file"
                                                : "memory"},
                 {"packed_bytes", w.packed_bytes},
                 {"arrangement", w.arrangement},
                 {"arranged_bytes", w.arranged_bytes},
                 {"expert_memory", nullptr}};
  if (w.expert_slots > 0)
    json["expert_memory"] = {
        {"slots", w.expert_slots}, {"experts", w.stored_experts}, {"slot_bytes", w.slot_bytes}};
  return json;
}

std::string Json(const BenchReport& report, bool stages) {
  Record json = {{"model", report.model},
                 {"executor", report.executor},
                 {"precision", report.precision},
                 {"activations", report.activations},
                 {"weights", WeightsJson(report.weights)},
                 {"tier", report.tier},
                 {"seed", report.seed},
                 {"runs", report.runs},
                 {"teams", Record::array()},
                 {"figures", Record::array()}};
  for (const BenchReport::Team& team : report.teams) {
    json["teams"].push_back({{"threads", team.threads},
                             {"tier", team.tier},
                             {"device", team.device},
                             {"read_gb_per_s", team.ceilings.read_bytes_per_s / 1e9},
                             {"f32_gflop_per_s", team.ceilings.f32_per_s / 1e9},
                             {"bf16_gflop_per_s", team.ceilings.bf16_per_s / 1e9},
                             {"int8_gop_per_s", team.ceilings.int8_per_s / 1e9}});
  }
  for (const Figure& f : report.figures) {
    Record figure = {{"test", f.test},       {"subject", f.subject}, {"rows", f.rows},
                     {"threads", f.threads}, {"tier", f.tier},       {"unit", f.unit}};
    AddSummary(Summarize(f), figure);
    figure["arithmetic_ceiling_gflop_per_s"] = f.arithmetic_per_s / 1e9;
    figure["samples"] = Record::array();
    for (const Sample& sample : f.samples) {
      figure["samples"].push_back({{"value", sample.value},
                                   {"seconds", sample.seconds},
                                   {"bytes", sample.bytes},
                                   {"flops", sample.flops},
                                   {"probe_gb_per_s", sample.read_bytes_per_s / 1e9},
                                   {"major_faults", sample.major_faults},
                                   {"waited_share", sample.waited_share},
                                   {"disturbed", sample.disturbed()}});
    }
    if (stages) {
      figure["steps"] = f.steps;
      figure["stages"] = Record::array();
      for (const StageCost& stage : f.stages) {
        figure["stages"].push_back({{"stage", stage.stage},
                                    {"microseconds", stage.microseconds},
                                    {"bytes", stage.bytes},
                                    {"flops", stage.flops}});
      }
    }
    json["figures"].push_back(std::move(figure));
  }
  return json.dump(-1, ' ', /*ensure_ascii=*/true, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string Print(const BenchReport& report, BenchFormat format, bool stages) {
  switch (format) {
    case BenchFormat::kTable:
      return ForPeople(report, stages, false);
    case BenchFormat::kMarkdown:
      return ForPeople(report, stages, true);
    case BenchFormat::kCsv:
      return Csv(report);
    case BenchFormat::kJson:
      return Json(report, stages);
  }
  return "";
}

}  // namespace oxidized
