#include "bench/plot.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/printable.h"
#include "bench/tests.h"
#include "report/svg_chart.h"

namespace oxidized {
namespace {

using Kind = BenchTest::Kind;

// Where a point stands, and in which line.
struct Placed {
  std::string line;
  double x;
};
struct PictureRow {
  const char* name;
  const char* title;
  const char* x_label;
  std::optional<Placed> (*place)(const BenchTest& test, const BenchRecord::Point& point);
};

std::string Threads(const BenchRecord::Point& point) { return Counted(point.threads, "thread"); }
bool IsBatch(const BenchTest& test) { return test.name.starts_with('b'); }

constexpr PictureRow kPictures[] = {
    {"prompt", "Reading a prompt", "tokens of the prompt",
     [](const BenchTest& test, const BenchRecord::Point& point) -> std::optional<Placed> {
       if (test.kind != Kind::kPrompt || test.depth > 0) return std::nullopt;
       return Placed{Threads(point), static_cast<double>(test.tokens)};
     }},
    {"depth", "Decoding at depth", "tokens there already",
     [](const BenchTest& test, const BenchRecord::Point& point) -> std::optional<Placed> {
       if (test.kind != Kind::kDecode || IsBatch(test)) return std::nullopt;
       return Placed{fmt::format("tg{}, {}", test.tokens, Threads(point)), static_cast<double>(test.depth)};
     }},
    {"batch", "Decoding several sequences together", "sequences",
     [](const BenchTest& test, const BenchRecord::Point& point) -> std::optional<Placed> {
       if (test.kind != Kind::kDecode || !IsBatch(test) || test.name.find('@') != std::string::npos)
         return std::nullopt;
       return Placed{Threads(point), static_cast<double>(test.sequences)};
     }},
    {"threads", "Threads", "threads",
     [](const BenchTest& test, const BenchRecord::Point& point) -> std::optional<Placed> {
       if (test.kind != Kind::kPrompt && (test.kind != Kind::kDecode || IsBatch(test))) return std::nullopt;
       return Placed{test.name, static_cast<double>(point.threads)};
     }},
};

// The record's lines of two points or more, in the order in which they begin.
std::vector<LineSeries> LinesOf(const PictureRow& picture, const BenchRecord& record) {
  struct At {
    double x;
    const BenchRecord::Point* point;
  };
  std::vector<std::pair<std::string, std::vector<At>>> lines;
  for (const BenchRecord::Point& point : record.points) {
    const auto test = FindBenchTest(point.test);
    const auto placed = test ? picture.place(*test, point) : std::nullopt;
    if (!placed) continue;
    auto line =
        std::find_if(lines.begin(), lines.end(), [&](const auto& l) { return l.first == placed->line; });
    if (line == lines.end()) line = lines.insert(lines.end(), {placed->line, {}});
    line->second.push_back({placed->x, &point});
  }
  std::vector<LineSeries> series;
  for (auto& [name, points] : lines) {
    if (points.size() < 2) continue;
    std::stable_sort(points.begin(), points.end(), [](const At& a, const At& b) { return a.x < b.x; });
    LineSeries one{.name = name, .x = {}, .y = {}, .low = {}};
    for (const At& at : points) {
      one.x.push_back(at.x);
      one.y.push_back(at.point->median);
      one.low.push_back(at.point->min);
      one.high.push_back(at.point->max);
      one.doubtful.push_back(at.point->disturbed);
    }
    series.push_back(std::move(one));
  }
  return series;
}

}  // namespace

BenchRecord ParseBenchRecord(std::string name, std::string_view json, const std::string& path) {
  BenchRecord record{std::move(name), {}};
  try {
    const auto parsed = nlohmann::json::parse(json);
    for (const nlohmann::json& figure : parsed.at("figures")) {
      const auto test = figure.at("test").get<std::string>();
      if (!FindBenchTest(test)) continue;
      // The other kinds have no place in a picture; unknown figures are null.
      if (!figure.at("subject").get<std::string>().empty()) continue;
      const auto& samples = figure.at("samples");
      const bool disturbed = std::any_of(samples.begin(), samples.end(), [](const nlohmann::json& sample) {
        return sample.value("disturbed", false);
      });
      record.points.push_back({test, figure.at("threads").get<int>(), figure.at("median").get<double>(),
                               figure.at("min").get<double>(), figure.at("max").get<double>(), disturbed});
    }
  } catch (const nlohmann::json::exception&) {
    Fail(ErrorKind::kBadFile, "{}: not a file of figures that `bench` writes as JSON", path);
  }
  return record;
}

std::vector<BenchPicture> PicturesOf(std::span<const BenchRecord> records) {
  std::vector<BenchPicture> pictures;
  for (const PictureRow& row : kPictures) {
    LineChart chart{
        .title = "", .x_label = row.x_label, .y_label = "tokens/s", .series = {}, .logarithmic = false};
    for (const BenchRecord& record : records) {
      for (LineSeries& line : LinesOf(row, record)) {
        if (records.size() > 1) line.name = record.name + " " + line.name;
        chart.series.push_back(std::move(line));
      }
    }
    if (chart.series.empty()) continue;
    const bool disturbed = std::any_of(chart.series.begin(), chart.series.end(), [](const LineSeries& line) {
      return std::find(line.doubtful.begin(), line.doubtful.end(), true) != line.doubtful.end();
    });
    if (disturbed) chart.x_label += " (hollow: a run was disturbed, its threads waited for a processor)";
    SvgPicture picture;
    picture.Add(chart);
    pictures.push_back({row.name, picture.Finish(row.title)});
  }
  return pictures;
}

}  // namespace oxidized
