// What an answer means, and how often and after what pause a request is made again.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "hub/http.h"
#include "hub/settings.h"

namespace oxidized::hub {

struct Verdict {
  enum class Action {
    kGood,     // 2xx, complete
    kMoved,    // a redirect
    kRetry,    // may work later: cut, timeout, 408, 429, 5xx
    kExpired,  // 401 or 403: a signed address may have run out; the hub itself refuses
    kRefused,  // asking again changes nothing
  } action = Action::kGood;
  std::string what;                          // "HTTP 503", "connection cut"; one line
  std::optional<std::chrono::seconds> wait;  // what the server asked for (Retry-After)
  bool unreachable = false;                  // no name or nobody there: nothing was ever said
};
Verdict Judge(const HttpResult& result);

// "HTTP 429" with what the server says of it (X-Error-Message), in one line.
std::string StatusText(const HttpHead& head);

// Counts failures that follow each other without progress.
class Patience {
 public:
  explicit Patience(const Settings& settings) : settings_(settings) {}

  // How long to wait before the next try. Throws Error(kNetwork) "WHO: what (tried N times)" when it is the
  // last straw, or when the server wants a longer pause than anybody waits for.
  std::chrono::milliseconds Failed(const std::string& who, const Verdict& verdict);
  void Progressed() { failures_ = 0; }
  int failures() const { return failures_; }

 private:
  const Settings& settings_;
  int failures_ = 0;
};

// Sleeps, but not through Ctrl-C: throws Interrupted.
void SleepFor(std::chrono::milliseconds time);

}  // namespace oxidized::hub
