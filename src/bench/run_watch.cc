#include "bench/run_watch.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>

#include "base/log.h"
#include "base/printable.h"

namespace oxidized::cli {
namespace {

int64_t MajorFaults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_majflt;
}

std::string NameOf(const std::filesystem::path& task) {
  std::ifstream file(task / "comm");
  std::string name;
  std::getline(file, name);
  return name;
}

}  // namespace

// schedstat: nanoseconds on a processor, nanoseconds ready to run without one, turns.
ThreadTimes ReadThreadTimes() {
  const std::filesystem::path tasks = "/proc/self/task";
  const std::string computing = NameOf(tasks / std::to_string(::getpid()));
  ThreadTimes times;
  bool any = false;
  std::error_code error;
  for (const auto& task : std::filesystem::directory_iterator(tasks, error)) {
    std::ifstream file(task.path() / "schedstat");
    double ran = 0.0, waited = 0.0, turns = 0.0;
    if (!(file >> ran >> waited >> turns)) continue;
    any = any || turns > 0.0;  // a kernel that does not count gives zeros
    if (NameOf(task.path()) == computing) {
      times.waited_s += waited / 1e9;
    } else {
      times.reading_s += ran / 1e9;
    }
  }
  if (!any) times.waited_s = std::numeric_limits<double>::quiet_NaN();
  return times;
}

double WaitedForOthers(const ThreadTimes& before, const ThreadTimes& after) {
  const double waited = after.waited_s - before.waited_s - (after.reading_s - before.reading_s);
  return waited < 0.0 ? 0.0 : waited;  // NaN stays
}

RunWatch::RunWatch() : major_faults_(MajorFaults()), times_(ReadThreadTimes()) {
  start_ = std::chrono::steady_clock::now();
}

void RunWatch::NoteIn(Sample& sample) const {
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start_;
  sample.major_faults = MajorFaults() - major_faults_;
  sample.waited_share = WaitedForOthers(times_, ReadThreadTimes()) / elapsed.count();
  // A wait is counted when it ends: one that began before a short run may be longer than the run.
  if (sample.waited_share > 1.0) sample.waited_share = 1.0;
}

void WarnIfDisturbed(std::string_view what, std::span<const Sample> samples) {
  std::string runs;
  double worst = 0.0;
  int64_t faults = 0;
  for (size_t run = 0; run < samples.size(); ++run) {
    faults += samples[run].major_faults;
    if (!samples[run].disturbed()) continue;
    runs += (runs.empty() ? "" : ", ") + std::to_string(run + 1);
    worst = std::max(worst, samples[run].waited_share);
  }
  if (faults > 0)
    Log(LogLevel::kWarning, "{}: {} read from disk in the timed part: the figure is the disk's", what,
        Counted(faults, "page"));
  if (!runs.empty())
    Log(LogLevel::kWarning,
        "{}: disturbed in run {} of {}: its threads waited for a processor for up to {:.0f} % of the time; "
        "end other programs, or give it a priority (chrt -r 20)",
        what, runs, samples.size(), 100.0 * worst);
}

}  // namespace oxidized::cli
