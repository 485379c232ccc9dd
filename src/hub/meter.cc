#include "hub/meter.h"

namespace oxidized::hub {
namespace {

constexpr auto kWindow = std::chrono::seconds(8);
constexpr std::chrono::duration<double> kLeastTime(1.0);  // less says nothing of the rate
constexpr auto kPause = std::chrono::milliseconds(200);

}  // namespace

double Meter::Rate(const std::deque<std::pair<Clock::time_point, int64_t>>& samples) {
  if (samples.size() < 2) return 0.0;
  const std::chrono::duration<double> time = samples.back().first - samples.front().first;
  return time >= kLeastTime
             ? static_cast<double>(samples.back().second - samples.front().second) / time.count()
             : 0.0;
}

Meter::~Meter() {
  if (watch_.ended) watch_.ended();
}

void Meter::SetFile(const std::string& file) {
  progress_.file = file;
  told_ = {};
}

void Meter::AtHand(int64_t bytes) { progress_.done_bytes += bytes; }

void Meter::Arrived(int64_t bytes) {
  progress_.done_bytes += bytes;
  arrived_bytes_ += bytes;
}

void Meter::Tick(bool checking) {
  const auto now = Clock::now();
  if (now - told_ < kPause) return;
  told_ = now;
  samples_.emplace_back(now, arrived_bytes_);
  while (samples_.size() > 2 && now - samples_.front().first > kWindow) samples_.pop_front();
  progress_.bytes_per_second = Rate(samples_);
  progress_.checking = checking;
  const auto left = static_cast<double>(progress_.total_bytes - progress_.done_bytes);
  progress_.seconds_left = progress_.bytes_per_second > 0 ? left / progress_.bytes_per_second : -1;
  if (watch_.progress) watch_.progress(progress_);
}

void Meter::Remark(const std::string& line) const {
  if (watch_.remark) watch_.remark(line);
}

}  // namespace oxidized::hub
