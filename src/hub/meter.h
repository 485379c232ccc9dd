// How far a download is, how fast and how long it will still take: counts bytes and calls a listener a few
// times a second.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>

namespace oxidized::hub {

struct PullProgress {
  std::string file;        // the one being fetched
  int64_t done_bytes = 0;  // of all files together; with what was there when the pull began
  int64_t total_bytes = 0;
  double bytes_per_second = 0;  // over the last seconds; 0: unknown yet
  double seconds_left = -1;     // negative: unknown
  bool checking = false;        // all bytes of the file are there and its hash is being computed
};

// Who is told; both may be empty. Called on the thread that pulls.
struct PullWatch {
  std::function<void(const PullProgress&)> progress;    // some times a second
  std::function<void(const std::string& line)> remark;  // what begins, or is tried again
  std::function<void()> ended;                          // well or not: no more will be told
};

class Meter {
 public:
  using Clock = std::chrono::steady_clock;

  Meter(const PullWatch& watch, int64_t total_bytes) : watch_(watch) { progress_.total_bytes = total_bytes; }
  ~Meter();
  Meter(const Meter&) = delete;
  Meter& operator=(const Meter&) = delete;

  void SetFile(const std::string& file);
  void AtHand(int64_t bytes);  // there already: moves the count, not the rate; negative: lost again
  void Arrived(int64_t bytes);
  void Tick(bool checking = false);  // tells the listener if it is time
  void Remark(const std::string& line) const;

  // The rate that samples (time, bytes arrived so far) show between the oldest and the newest.
  static double Rate(const std::deque<std::pair<Clock::time_point, int64_t>>& samples);

 private:
  const PullWatch& watch_;
  PullProgress progress_;
  int64_t arrived_bytes_ = 0;
  std::deque<std::pair<Clock::time_point, int64_t>> samples_;
  Clock::time_point told_;
};

}  // namespace oxidized::hub
