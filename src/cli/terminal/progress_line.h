// "model.gguf: 3.2 of 13.8 GB, 1.2 GB/s": what a person who waits for bytes sees.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace oxidized::cli {

// "13.8 GB", "512.0 MB", "7 kB".
std::string Amount(double bytes);

class ProgressLine {
 public:
  using Clock = std::chrono::steady_clock;

  // The time counts from here.
  explicit ProgressLine(std::string what, Clock::time_point begin = Clock::now())
      : what_(std::move(what)), begin_(begin) {}

  // The speed is the mean so far.
  std::string At(int64_t done_bytes, int64_t total_bytes, Clock::time_point now = Clock::now()) const;

 private:
  std::string what_;
  Clock::time_point begin_;
};

}  // namespace oxidized::cli
