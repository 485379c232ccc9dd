#include "bench/moe_report.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/printable.h"
#include "base/text_table.h"
#include "bench/figure_json.h"
#include "report/svg_chart.h"

namespace oxidized {
namespace {

std::string NameOf(const Figure& f) {
  const bool request = f.test == "prefill" || f.test == "decode";
  std::string name = request ? f.test : f.layer >= 0 ? fmt::format("layer {}", f.layer) : std::string();
  if (f.test == "layers" && f.layer < 0) name = "all layers";
  if (!f.subject.empty()) name += (name.empty() ? "" : " ") + f.subject;
  if (f.rows > 0)
    name += fmt::format("{}{} {}", name.empty() ? "" : ", ", f.rows, f.rows == 1 ? "row" : "rows");
  return name;
}

std::string Short(double value, int digits) {
  return std::isfinite(value) ? fmt::format("{:.{}f}", value, digits) : "";
}

std::string Value(const Sample& sample) {
  return fmt::format("{}{:.{}f}", sample.disturbed() ? "*" : "", sample.value, sample.value < 1000 ? 1 : 0);
}

// Medians of a section's figures, marked where a run was disturbed; with `runs` each run below its figure.
TextTable SectionTable(const std::vector<Figure>& figures, bool runs) {
  TextTable table{{"", "unit", "median", "spread", "GB/s", "GFLOP/s", "ceiling", "used"}, {}};
  for (const Figure& f : figures) {
    if (f.layer >= 0 && !runs) continue;  // LayerGrid
    const Summary s = Summarize(f);
    Sample median{.value = s.median};
    for (const Sample& sample : f.samples)
      median.waited_share = std::max(median.waited_share, sample.waited_share);
    table.rows.push_back({NameOf(f), f.unit, Value(median),
                          s.median > 0.0 ? fmt::format("{:.0f} %", 100.0 * (s.max - s.min) / s.median) : "",
                          Short(s.gb_per_s, 1), Short(s.gflop_per_s, 1), ShareText(s),
                          f.experts_used > 0 ? fmt::format("{:.1f}", f.experts_used) : ""});
    if (!runs) continue;
    std::string values;
    for (const Sample& sample : f.samples) values += (values.empty() ? "" : " ") + Value(sample);
    table.rows.push_back({WrapBehind("  runs: ", values, kTableColumns)});
  }
  table.DropEmpty();
  return table;
}

// A line a layer for each count of rows: medians, and how close the experts' products came to the machine.
std::string LayerGrid(const std::vector<Figure>& figures) {
  std::string text;
  int64_t rows = 0;
  int32_t layer = -1;
  for (const Figure& f : figures) {
    if (f.layer < 0) continue;
    if (f.rows != rows) {
      rows = f.rows;
      text += fmt::format("{:>5} {:>5}{:>11}{:>11}{:>11}{:>22}{:>11}\n", "rows", "layer", "routing",
                          "dispatch", "experts us", "", "combine us");
      layer = -1;
    }
    if (f.layer != layer) text += fmt::format("{:>5} {:>5}", rows, f.layer);
    layer = f.layer;
    const Summary s = Summarize(f);
    text += fmt::format("{:11.1f}", s.median);
    if (f.subject == "experts")
      text += fmt::format("{:>12}{:>10}", ShareText(s), fmt::format("{:.0f} used", f.experts_used));
    if (f.subject == "combine") text += '\n';
  }
  return text;
}

nlohmann::ordered_json FigureJson(const Figure& f) {
  const Summary s = Summarize(f);
  nlohmann::ordered_json json = {{"name", f.subject}, {"rows", f.rows}, {"unit", f.unit}};
  if (f.layer >= 0) json["layer"] = f.layer;
  if (f.experts_used > 0) json["experts_used"] = f.experts_used;
  std::vector<double> values, bytes, flops, waited;
  std::vector<bool> disturbed;
  for (const Sample& sample : f.samples) {
    waited.push_back(sample.waited_share);
    disturbed.push_back(sample.disturbed());
    values.push_back(sample.value);
    bytes.push_back(sample.bytes);
    flops.push_back(sample.flops);
  }
  json["runs"] = values;
  json["bytes"] = bytes;
  json["flops"] = flops;
  json["waited_share"] = waited;
  json["disturbed"] = disturbed;
  AddSummary(s, json);
  json["probe_min_gb_per_s"] = s.probe_min_gb_per_s;
  json["probe_max_gb_per_s"] = s.probe_max_gb_per_s;
  return json;
}

const std::vector<Figure>& FiguresOf(const MoeBenchResult& result, const std::string& name) {
  static const std::vector<Figure> none;
  for (const MoeSectionResult& section : result.sections) {
    if (name == section.name) return section.figures;
  }
  return none;
}

}  // namespace

std::string MoeBenchTable(const MoeBenchResult& result, bool verbose) {
  std::string text =
      fmt::format("{}\n{} after one to warm up; sections and their rows in the order they ran\n",
                  EscapeUnprintable(result.model), Counted(result.runs, "run"));
  text +=
      fmt::format("ceilings: memory {:.1f} GB/s, {} {:.0f} GFLOP/s\n", result.ceilings.read_bytes_per_s / 1e9,
                  result.arithmetic, result.arithmetic_per_s / 1e9);
  for (const MoeSectionResult& section : result.sections) {
    TextTable table = SectionTable(section.figures, verbose);
    table.names[0] = table.DropCommon("unit");
    text += "\n" + WrapColumns(section.title, kTableColumns) + "\n" + Aligned(table);
    if (!verbose) text += LayerGrid(section.figures);
  }
  return text +
         "\nspread: (highest - lowest) / median; ceiling: of memory or of arithmetic,\n"
         "whichever is nearer; used: experts of a layer, on average; *: a run was\n"
         "disturbed, its threads waited for a processor\n";
}

std::string MoeBenchJson(const MoeBenchResult& result) {
  using Json = nlohmann::ordered_json;
  Json json = {{"prompt_tokens", result.request.prompt_tokens},
               {"answer_tokens", result.request.answer_tokens},
               {"metrics", Json::array()}};
  json["ceilings"] = {{"read_gb_per_s", result.ceilings.read_bytes_per_s / 1e9},
                      {"arithmetic", result.arithmetic},
                      {"arithmetic_gflop_per_s", result.arithmetic_per_s / 1e9}};
  json["sections"] = Json::array();
  for (const MoeSectionResult& measured : result.sections) {
    Json section = {{"section", measured.name}, {"title", measured.title}, {"figures", Json::array()}};
    for (const Figure& figure : measured.figures) {
      Json record = FigureJson(figure);
      if (figure.test == "prefill" || figure.test == "decode") {
        record["phase"] = figure.test;
        json["metrics"].push_back({{"phase", figure.test},
                                   {"name", figure.subject},
                                   {"unit", figure.unit},
                                   {"runs", record["runs"]},
                                   {"median", record["median"]},
                                   {"min", record["min"]},
                                   {"max", record["max"]}});
      }
      section["figures"].push_back(std::move(record));
    }
    json["sections"].push_back(std::move(section));
  }
  return json.dump(-1, ' ', /*ensure_ascii=*/true, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::string MoeBenchPicture(const MoeBenchResult& result) {
  SvgPicture picture;
  LineSeries measured{"measured", {}, {}}, limit{"ceiling", {}, {}, true};
  for (const Figure& f : FiguresOf(result, "expert")) {
    const Summary s = Summarize(f);
    if (!std::isfinite(s.gflop_per_s)) continue;
    const double flops_per_byte = f.samples[0].flops / f.samples[0].bytes;
    measured.x.push_back(static_cast<double>(f.rows));
    measured.y.push_back(s.gflop_per_s);
    limit.x.push_back(static_cast<double>(f.rows));
    limit.y.push_back(std::min(result.arithmetic_per_s, flops_per_byte * result.ceilings.read_bytes_per_s) /
                      1e9);
  }
  picture.Add(LineChart{"One expert's product", "rows", "GFLOP/s", {measured, limit}});

  const std::vector<Figure>& layers = FiguresOf(result, "layers");
  std::vector<int64_t> row_counts;
  for (const Figure& f : layers) {
    if (row_counts.empty() || row_counts.back() != f.rows) row_counts.push_back(f.rows);
  }
  for (const int64_t rows : row_counts) {
    BarChart chart{
        fmt::format("A layer's stages, {} {}", rows, rows == 1 ? "row" : "rows"), "layer", "us", {}, {}, {}};
    for (const Figure& f : layers) {
      if (f.rows != rows || f.layer < 0) continue;
      if (static_cast<size_t>(f.layer) == chart.values.size()) {
        chart.values.emplace_back();
        chart.bars.push_back(std::to_string(f.layer));
      }
      if (f.layer == 0) chart.parts.push_back(f.subject);
      chart.values.back().push_back(Summarize(f).median);
    }
    picture.Add(chart);
  }

  BarChart load{"A layer under three loads", "load, rows", "us a row", {"median"}, {}, {}};
  for (const Figure& f : FiguresOf(result, "load")) {
    load.bars.push_back(fmt::format("{}, {}", f.subject, f.rows));
    load.values.push_back({Summarize(f).median / static_cast<double>(f.rows)});
  }
  picture.Add(load);
  return picture.Finish("Mixture of experts: " + result.device);
}

}  // namespace oxidized
