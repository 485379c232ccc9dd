// HTTP requests, several at once on one thread, by libcurl. Knows nothing of the hub: no retries, no
// redirects followed (who sends a token must decide at each hop), no status is an error here. Proxies come
// from the environment, as curl takes them (https_proxy, no_proxy, …).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "hub/range_set.h"
#include "hub/settings.h"

namespace oxidized::hub {

struct HttpHead {
  int status = 0;                              // 0: no answer came
  std::map<std::string, std::string> headers;  // names in lower case; of equal ones the last

  std::string Header(const std::string& lower_name) const;  // empty: not there
};

struct HttpRequest {
  std::string url;
  std::string token;               // empty: none is sent
  bool head = false;               // HEAD instead of GET
  std::optional<ByteRange> range;  // "Range: bytes=…"
  // Each piece of the body, once the head is complete; false ends the transfer. May throw, which Poll passes
  // on.
  std::function<bool(const HttpHead&, std::span<const std::byte>)> body;
};

struct HttpResult {
  HttpHead head;
  bool stopped = false;  // `body` returned false
  // Empty when an answer came whole. Else what happened, in one line, and of which kind it is.
  std::string trouble;
  enum class Kind { kNone, kNoName, kNoConnection, kTimeout, kCut, kTls, kOther } kind = Kind::kNone;
};

class HttpClient {
 public:
  explicit HttpClient(const Settings& settings);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Begins a transfer; the number names it.
  int Start(HttpRequest request);
  // Moves all transfers on, for at most `milliseconds`, and gives those that ended.
  std::vector<std::pair<int, HttpResult>> Poll(int milliseconds);
  // Ends all transfers that run.
  void CancelAll();
  size_t active() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The URL that a Location header means, seen from `url`; empty when it is none, or leads from https to http.
std::string RedirectTarget(const std::string& url, const std::string& location);

}  // namespace oxidized::hub
