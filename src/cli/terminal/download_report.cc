#include "cli/terminal/download_report.h"

#include <fmt/core.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <memory>

#include "cli/terminal/progress_line.h"
#include "cli/terminal/terminal.h"

namespace oxidized::cli {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kPlainPause = std::chrono::seconds(30);  // between lines of a log

struct Report {
  SideStream side{true};
  bool begun = false;
  Clock::time_point last_plain = Clock::now();

  // Another stream may have left its own transient line.
  void Begin() {
    if (!begun && side.terminal() && CapableTerminal()) std::fputs("\r\033[K", stderr);
    begun = true;
  }
};

std::string Duration(double seconds) {
  const auto whole = static_cast<int64_t>(std::llround(std::min(seconds, 1e9)));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole / 60 % 60);
}

}  // namespace

std::string DownloadLine(const hub::PullProgress& progress) {
  constexpr size_t kLongestName = 32;
  std::string name = EscapeUnprintable(progress.file);
  if (name.size() > kLongestName) {
    size_t cut = name.size() - kLongestName;
    while (cut < name.size() && (static_cast<unsigned char>(name[cut]) & 0xC0) == 0x80) ++cut;
    name = "…" + name.substr(cut);
  }
  std::string line = fmt::format("{}: {} of {}", name, Amount(static_cast<double>(progress.done_bytes)),
                                 Amount(static_cast<double>(progress.total_bytes)));
  if (progress.checking) return line + ", checking the hash";
  if (progress.bytes_per_second > 0) line += fmt::format(", {}/s", Amount(progress.bytes_per_second));
  if (progress.seconds_left >= 0) line += fmt::format(", {} left", Duration(progress.seconds_left));
  return line;
}

hub::PullWatch ReportDownloads() {
  auto report = std::make_shared<Report>();
  hub::PullWatch watch;
  watch.remark = [report](const std::string& line) {
    report->Begin();
    report->side.Line(line);
  };
  watch.progress = [report](const hub::PullProgress& progress) {
    report->Begin();
    report->side.Status(DownloadLine(progress));
    if (report->side.terminal() || Clock::now() - report->last_plain < kPlainPause) return;
    report->last_plain = Clock::now();
    report->side.Line(DownloadLine(progress));
  };
  watch.ended = [report] { report->side.Status(""); };
  return watch;
}

}  // namespace oxidized::cli
