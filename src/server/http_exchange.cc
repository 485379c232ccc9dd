#include "server/http_exchange.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "server/random_id.h"

namespace oxidized::server {
namespace {

constexpr size_t kMostIdBytes = 128;

// Goes into a header and into logs.
bool IsPlainId(std::string_view id) {
  return !id.empty() && id.size() <= kMostIdBytes &&
         std::all_of(id.begin(), id.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

struct Phrase {
  int status;
  std::string_view text;
};
constexpr Phrase kPhrases[] = {
    {200, "OK"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {413, "Content Too Large"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {505, "HTTP Version Not Supported"},
};

}  // namespace

std::string_view ReasonPhrase(int status) {
  for (const Phrase& phrase : kPhrases) {
    if (phrase.status == status) return phrase.text;
  }
  return "Error";
}

std::string_view HttpRequest::Field(std::string_view name) const {
  for (const auto& [key, value] : fields) {
    if (key == name) return value;
  }
  return {};
}

bool DecodePath(std::string_view target, std::string& path) {
  target = target.substr(0, target.find('?'));
  path.clear();
  if (!target.starts_with('/')) return false;
  for (size_t i = 0; i < target.size(); ++i) {
    char c = target[i];
    if (c == '%') {
      uint8_t byte = 0;
      const char* const begin = target.data() + i + 1;
      if (target.size() - i < 3) return false;
      const auto [end, error] = std::from_chars(begin, begin + 2, byte, 16);
      if (error != std::errc() || end != begin + 2) return false;
      c = static_cast<char>(byte);
      i += 2;
    }
    if (c == '\0') return false;
    path += c;
  }
  return true;
}

HttpExchange::HttpExchange(HttpRequest asked) : request(std::move(asked)) {
  const std::string_view id = request.Field("x-request-id");
  request_id = IsPlainId(id) ? std::string(id) : RandomId("req-");
}

void HttpExchange::Head(int status, std::string_view content_type, const HttpFields& fields,
                        std::string_view framing) {
  OX_CHECK(state_ == State::kWaiting);
  pending_ += fmt::format("HTTP/1.1 {} {}\r\nServer: oxidized_gpt_oss\r\nx-request-id: {}\r\n", status,
                          ReasonPhrase(status), request_id);
  if (!content_type.empty()) pending_ += fmt::format("Content-Type: {}\r\n", content_type);
  for (const auto& [name, value] : fields) pending_ += fmt::format("{}: {}\r\n", name, value);
  pending_ += request.keep_alive ? "Connection: keep-alive\r\n" : "Connection: close\r\n";
  pending_ += framing;
  pending_ += "\r\n";
}

void HttpExchange::Respond(int status, std::string_view content_type, std::string_view body,
                           const HttpFields& fields) {
  Head(status, content_type, fields, fmt::format("Content-Length: {}\r\n", body.size()));
  if (request.method != "HEAD") pending_ += body;
  state_ = State::kEnded;
  Watch(nullptr, nullptr);
  Wake();
}

void HttpExchange::Begin(int status, std::string_view content_type, const HttpFields& fields) {
  if (!request.chunked_answers) request.keep_alive = false;  // the end of the connection ends the answer
  Head(status, content_type, fields, request.chunked_answers ? "Transfer-Encoding: chunked\r\n" : "");
  state_ = State::kStreaming;
  Wake();
}

void HttpExchange::Write(std::string_view piece) {
  OX_CHECK(state_ == State::kStreaming);
  if (piece.empty()) return;  // as a chunk it would be the end
  if (request.chunked_answers) pending_ += fmt::format("{:x}\r\n", piece.size());
  pending_ += piece;
  if (request.chunked_answers) pending_ += "\r\n";
  Wake();
}

void HttpExchange::End() {
  OX_CHECK(state_ == State::kStreaming);
  if (request.chunked_answers) pending_ += "0\r\n\r\n";
  state_ = State::kEnded;
  Watch(nullptr, nullptr);
  Wake();
}

// Who is called may end the exchange, which drops the functions, or hold the last reference to it: a copy is
// called.
void HttpExchange::Watch(std::function<void()> on_idle, std::function<void()> on_gone) {
  on_idle_ = std::move(on_idle);
  on_gone_ = std::move(on_gone);
}

void HttpExchange::BecameIdle() {
  if (const auto on_idle = on_idle_) on_idle();
}

void HttpExchange::Lose() {
  if (gone_) return;
  gone_ = true;
  const auto on_gone = std::exchange(on_gone_, nullptr);
  on_idle_ = nullptr;
  if (on_gone && state_ != State::kEnded) on_gone();
}

}  // namespace oxidized::server
