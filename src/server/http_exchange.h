// One HTTP request and its answer, as the routes see them: no socket, no library. Everything here belongs to
// the server's I/O thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace oxidized::server {

using HttpFields = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method;  // "GET"
  std::string path;    // percent-decoded, without the query
  HttpFields fields;   // names in lower case
  std::string body;
  bool keep_alive = true;
  bool chunked_answers = true;             // HTTP/1.1
  std::shared_ptr<void> memory = nullptr;  // the body's share of what all bodies may take

  // The first field of this name (lower case); "" without one.
  std::string_view Field(std::string_view name) const;
};

// The part of a request's target before '?', with %XX decoded. False: it is no path, or has a broken escape
// or a NUL.
bool DecodePath(std::string_view target, std::string& path);

std::string_view ReasonPhrase(int status);

class HttpExchange {
 public:
  explicit HttpExchange(HttpRequest request);

  HttpRequest request;
  std::string request_id;  // the client's x-request-id, else one of ours; sent with every answer

  // A whole answer.
  void Respond(int status, std::string_view content_type, std::string_view body,
               const HttpFields& fields = {});
  // Or one that comes in pieces. Nothing may follow End.
  void Begin(int status, std::string_view content_type, const HttpFields& fields = {});
  void Write(std::string_view piece);
  void End();

  bool began() const { return state_ != State::kWaiting; }
  bool ended() const { return state_ == State::kEnded; }
  bool gone() const { return gone_; }  // nobody reads any more
  // Nothing waits to be sent: who has more should make it now. A slow reader gets several events in one
  // write, and what it has not read is not made into text yet.
  bool idle() const { return pending_.empty(); }
  // Called when it gets idle while the answer goes on; when the client left before the end. Both are dropped
  // at the end of the exchange.
  void Watch(std::function<void()> on_idle, std::function<void()> on_gone);

 private:
  friend class Connection;
  enum class State : uint8_t { kWaiting, kStreaming, kEnded };

  void Head(int status, std::string_view content_type, const HttpFields& fields, std::string_view framing);
  void Wake() {
    if (wake_) wake_();
  }
  void BecameIdle();
  void Lose();

  State state_ = State::kWaiting;
  bool gone_ = false;
  std::string pending_;         // bytes for the socket
  std::function<void()> wake_;  // of the connection: something changed
  std::function<void()> on_idle_, on_gone_;
};

}  // namespace oxidized::server
