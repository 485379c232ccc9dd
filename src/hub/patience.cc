#include "hub/patience.h"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <random>
#include <thread>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/printable.h"
#include "hub/text.h"

namespace oxidized::hub {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::optional<int64_t> WholeNumber(const std::string& text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size() && value >= 0;
  return whole ? std::optional(value) : std::nullopt;
}

// Retry-After in seconds or as a date; else the hub's own `RateLimit: "api";r=0;t=55`.
std::optional<seconds> AskedWait(const HttpHead& head) {
  constexpr int64_t kMost = 1000000;
  if (const std::string after = head.Header("retry-after"); !after.empty()) {
    if (const auto number = WholeNumber(after)) return seconds(std::min(*number, kMost));
    const time_t date = curl_getdate(after.c_str(), nullptr);
    if (date >= 0) return seconds(std::clamp<int64_t>(date - std::time(nullptr), 0, kMost));
  }
  const std::string limit = head.Header("ratelimit");
  if (const size_t at = limit.find(";t="); at != limit.npos) {
    const size_t end = std::min(limit.find_first_not_of("0123456789", at + 3), limit.size());
    if (const auto number = WholeNumber(limit.substr(at + 3, end - at - 3)))
      return seconds(std::min(*number, kMost));
  }
  return std::nullopt;
}

}  // namespace

std::string StatusText(const HttpHead& head) {
  const std::string says = head.Header("x-error-message");
  return fmt::format("HTTP {}{}", head.status, says.empty() ? "" : " " + Quoted(says));
}

Verdict Judge(const HttpResult& result) {
  using Action = Verdict::Action;
  using Kind = HttpResult::Kind;
  Verdict verdict;
  if (!result.trouble.empty()) {
    const bool again = result.kind != Kind::kTls && result.kind != Kind::kOther;
    verdict.action = again ? Action::kRetry : Action::kRefused;
    verdict.what = NeutralizedLine(result.trouble);
    verdict.unreachable = result.kind == Kind::kNoName || result.kind == Kind::kNoConnection;
    return verdict;
  }
  const int status = result.head.status;
  if (status >= 200 && status < 300) return verdict;
  verdict.what = StatusText(result.head);
  if (status == 301 || status == 302 || status == 303 || status == 307 || status == 308) {
    verdict.action = Action::kMoved;
  } else if (status == 408 || status == 429 || (status >= 500 && status != 501 && status != 505)) {
    verdict.action = Action::kRetry;
    verdict.wait = AskedWait(result.head);
  } else {
    verdict.action = status == 401 || status == 403 ? Action::kExpired : Action::kRefused;
  }
  return verdict;
}

milliseconds Patience::Failed(const std::string& who, const Verdict& verdict) {
  ++failures_;
  if (failures_ >= settings_.tries) {
    Fail(ErrorKind::kNetwork, "{}: {} (tried {})", who, verdict.what, Counted(failures_, "time"));
  }
  if (verdict.wait && *verdict.wait > settings_.longest_wait) {
    Fail(ErrorKind::kNetwork, "{}: {}: asks to come back in {} s", who, verdict.what, verdict.wait->count());
  }
  if (verdict.wait) return *verdict.wait;
  // Doubled each time up to thirtyfold, and spread, so that many programs do not come back at once.
  const milliseconds base = settings_.backoff * std::min(1 << std::min(failures_ - 1, 10), 30);
  static thread_local std::minstd_rand random{std::random_device{}()};
  return milliseconds(
      std::uniform_int_distribution<int64_t>(base.count() * 3 / 4, base.count() * 5 / 4)(random));
}

void SleepFor(milliseconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  for (auto now = std::chrono::steady_clock::now(); now < end; now = std::chrono::steady_clock::now()) {
    ThrowIfInterrupted();
    std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(end - now, milliseconds(50)));
  }
  ThrowIfInterrupted();
}

}  // namespace oxidized::hub
