// HTTP/1.1 over TCP: connections, limits and time; what a request means is the handler's business. One I/O
// thread runs every connection as a coroutine, and all handlers. Boost.Beast and Asio stay behind this
// header.
//
// Whatever a client sends or does ends its own connection at most.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/http_exchange.h"

namespace oxidized::server {

struct HttpLimits {
  size_t header_bytes = 32 << 10;
  size_t body_bytes = 16 << 20;
  size_t all_bodies_bytes =
      256 << 20;              // of requests that are not answered yet; one of body_bytes always fits
  size_t connections = 4096;  // one more gets 503 at once
  std::chrono::milliseconds idle{75'000};    // between two requests
  std::chrono::milliseconds header{20'000};  // from its first byte to its end
  std::chrono::milliseconds body{120'000};
  std::chrono::milliseconds write{60'000};  // a reader that takes nothing for so long is gone
  std::chrono::milliseconds linger{2'000};  // for the rest of a request that was refused
};

class HttpServer {
 public:
  // Called on the I/O thread. The exchange is answered now or later, by Respond or by Begin ... End. What it
  // throws is answered with 500.
  using Handler = std::function<void(std::shared_ptr<HttpExchange>)>;
  // A request that is not HTTP, or too large, …: what to say with `status`, as the body of the
  // answer.
  using Refusal = std::function<std::string(int status, const std::string& message)>;

  // Listens at once, and answers from Run on. `host`: a name or an address; port 0: one that is free. Throws
  // Error(kUsage) where that is not possible.
  HttpServer(const std::string& host, uint16_t port, const HttpLimits& limits, Handler handler,
             Refusal refusal);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::string address() const;  // "127.0.0.1:8080", "[::1]:8080"
  bool loopback() const;        // reached from this machine alone

  // Serves on this thread until Stop; connections are cut then.
  void Run();
  void Stop();  // from any thread
  // Runs `function` on the I/O thread, later; from any thread.
  void Post(std::function<void()> function);
  // The same after some time, once.
  void PostAfter(std::chrono::milliseconds time, std::function<void()> function);
  // Runs `job` on a thread beside, one job after the other: what takes long and needs no socket.
  void Work(std::function<void()> job);
  // From now on these signals come to `on_signal`, on the I/O thread, and to nobody else. Before Run.
  void TakeSignals(const std::vector<int>& signals, std::function<void(int)> on_signal);
  // Calls `idle` on the I/O thread as soon as every answer that was begun has left.
  void WhenIdle(std::function<void()> idle);

 private:
  friend class Connection;
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace oxidized::server
