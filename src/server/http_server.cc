#include "server/http_server.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <optional>
#include <utility>  // before Asio: that of Boost 1.74 forgets it

#include "base/error.h"
#include "base/log.h"

namespace oxidized::server {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using ErrorCode = boost::system::error_code;
template <typename T>
using Task = asio::awaitable<T>;

namespace {

constexpr size_t kReadBytes = 16 << 10;
constexpr size_t kMostPipelined = 64 << 10;  // read ahead while an answer is being made
constexpr std::chrono::milliseconds kAcceptAgain{100};

auto Into(ErrorCode& error) { return asio::redirect_error(asio::use_awaitable, error); }

// What a broken request is answered with; nullopt: nothing, the client has left.
struct Complaint {
  int status;
  std::string message;
};
std::optional<Complaint> ComplaintOf(const ErrorCode& error, const HttpLimits& limits) {
  if (error == http::error::header_limit)
    return Complaint{431, fmt::format("the header is larger than {} bytes", limits.header_bytes)};
  if (error == http::error::body_limit)
    return Complaint{413, fmt::format("the body is larger than {} bytes", limits.body_bytes)};
  if (error == http::error::bad_version) return Complaint{505, "only HTTP/1.0 and HTTP/1.1 are spoken here"};
  if (error == http::error::end_of_stream || error == http::error::partial_message) return std::nullopt;
  if (error.category() == make_error_code(http::error::bad_method).category())
    return Complaint{400, "not an HTTP request: " + error.message()};
  return std::nullopt;  // the socket's; one that took too long is closed already
}

}  // namespace

struct HttpServer::Impl {
  Impl(const HttpLimits& http_limits, Handler on_request, Refusal on_bad_request)
      : limits(http_limits), handler(std::move(on_request)), refusal(std::move(on_bad_request)) {}

  const HttpLimits limits;
  const Handler handler;
  const Refusal refusal;
  size_t connections = 0;
  size_t answering = 0;                // exchanges whose answer has not left
  std::atomic<size_t> body_bytes = 0;  // of bodies that are kept; a worker may drop one
  std::function<void()> when_idle;
  std::function<void(int)> on_signal;
  asio::io_context io{1};  // ends before what its connections count
  asio::thread_pool worker{1};
  tcp::acceptor acceptor{io};
  asio::signal_set signals{io};

  Task<void> Accept();
  void AwaitSignal();
  void TellIdle() {
    if (answering == 0 && when_idle) std::exchange(when_idle, nullptr)();
  }
  // Its share of all bodies' memory; nullptr: there is not so much.
  std::shared_ptr<void> TakeMemory(size_t bytes);
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(HttpServer::Impl& server, tcp::socket socket)
      : server_(server), limits_(server.limits), stream_(std::move(socket)), signal_(server.io) {
    ++server_.connections;
  }
  ~Connection() {
    if (exchange_) EndExchange();
    --server_.connections;
  }

  static Task<void> Run(std::shared_ptr<Connection> self) {
    bool goes_on = true;
    while (goes_on) goes_on = co_await self->Serve();
    co_await self->Close();
  }

 private:
  // One request and its answer; false: it was the last one.
  Task<bool> Serve() {
    std::optional<HttpRequest> request = co_await Read();
    if (!request) co_return false;
    BeginExchange(std::move(*request));
    left_ = false;
    Watch();
    Handle();
    co_await Answer();
    const bool keep_alive = exchange_->request.keep_alive && !failed_;
    EndExchange();
    stream_.socket().cancel(ignored_);
    while (watching_) co_await Changed();
    co_return keep_alive && (!left_ || buffer_.size() > 0);
  }

  void BeginExchange(HttpRequest request) {
    exchange_ = std::make_shared<HttpExchange>(std::move(request));
    exchange_->wake_ = [this] { signal_.cancel(); };
    ++server_.answering;
  }

  void EndExchange() {
    const auto exchange = std::exchange(exchange_, nullptr);
    exchange->wake_ = nullptr;
    exchange->Lose();  // of one that has ended it does nothing
    --server_.answering;
    server_.TellIdle();
  }

  Task<std::optional<HttpRequest>> Read() {
    ErrorCode error;
    if (buffer_.size() == 0) {
      stream_.expires_after(limits_.idle);
      const size_t read = co_await stream_.async_read_some(buffer_.prepare(kReadBytes), Into(error));
      if (error) co_return std::nullopt;
      buffer_.commit(read);
    }
    http::request_parser<http::string_body> parser;
    parser.header_limit(static_cast<uint32_t>(limits_.header_bytes));
    parser.body_limit(limits_.body_bytes);
    stream_.expires_after(limits_.header);
    co_await http::async_read_header(stream_, buffer_, parser, Into(error));
    std::optional<Complaint> complaint;
    if (error) {
      complaint = ComplaintOf(error, limits_);
      co_return co_await Refuse(std::move(complaint));
    }

    HttpRequest request = HeaderOf(parser.get());
    complaint = Check(parser.get(), request);
    if (complaint) co_return co_await Refuse(std::move(complaint));
    if (!parser.is_done()) {
      const auto length = parser.content_length();
      request.memory = server_.TakeMemory(length ? static_cast<size_t>(*length) : limits_.body_bytes);
      if (!request.memory) {
        complaint = Complaint{503, "too many requests with large bodies at this moment"};
        co_return co_await Refuse(std::move(complaint));
      }
      if (request.Field("expect") == "100-continue") {
        stream_.expires_after(limits_.write);
        co_await asio::async_write(stream_, asio::buffer(kContinue), Into(error));
      }
      stream_.expires_after(limits_.body);
      co_await http::async_read(stream_, buffer_, parser, Into(error));
      if (error) {
        complaint = ComplaintOf(error, limits_);
        co_return co_await Refuse(std::move(complaint));
      }
    }
    request.body = std::move(parser.get().body());
    co_return std::move(request);
  }

  static HttpRequest HeaderOf(const http::request<http::string_body>& header) {
    HttpRequest request;
    request.method = std::string(header.method_string());
    for (const auto& field : header) {
      std::string name(field.name_string());
      std::transform(name.begin(), name.end(), name.begin(),
                     [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
      request.fields.emplace_back(std::move(name), std::string(field.value()));
    }
    request.keep_alive = header.keep_alive();
    request.chunked_answers = header.version() >= 11;
    return request;
  }

  static std::optional<Complaint> Check(const http::request<http::string_body>& header,
                                        HttpRequest& request) {
    const size_t hosts = header.count(http::field::host);
    if (header.version() > 11) return Complaint{505, "only HTTP/1.0 and HTTP/1.1 are spoken here"};
    if (hosts > 1 || (hosts == 0 && header.version() == 11))
      return Complaint{400, fmt::format("expected one Host header, found {}", hosts)};
    if (!DecodePath(std::string_view(header.target()), request.path))
      return Complaint{400, "the target is not a path, or has a broken %-escape"};
    return std::nullopt;
  }

  // Says so, if there is something to say; nullopt in any case.
  Task<std::optional<HttpRequest>> Refuse(std::optional<Complaint> complaint) {
    if (!complaint) co_return std::nullopt;
    HttpRequest nobody;
    nobody.keep_alive = false;
    BeginExchange(std::move(nobody));
    exchange_->Respond(complaint->status, "application/json",
                       server_.refusal(complaint->status, complaint->message));
    co_await Answer();
    EndExchange();
    co_return std::nullopt;
  }

  void Handle() {
    try {
      return server_.handler(exchange_);
    } catch (const std::exception& failure) {
      Log(LogLevel::kError, "server: {}", failure.what());
    }
    exchange_->Watch(nullptr, nullptr);
    if (exchange_->began()) {
      failed_ = true;  // too late to say so
    } else {
      exchange_->Respond(500, "application/json",
                         server_.refusal(500, "an internal error, see the server's log"));
    }
  }

  // Until the answer has left, or nobody is there to take it.
  Task<void> Answer() {
    for (;;) {
      if (failed_) co_return;
      if (!exchange_->pending_.empty()) {
        const std::string out = std::exchange(exchange_->pending_, {});
        ErrorCode error;
        stream_.expires_after(limits_.write);
        co_await asio::async_write(stream_, asio::buffer(out), Into(error));
        if (error) failed_ = true;
        if (!error && !exchange_->ended() && exchange_->idle()) exchange_->BecameIdle();
      } else if (exchange_->ended() || left_) {
        co_return;
      } else {
        co_await Changed();
      }
    }
  }

  // Reads on while an answer is made: only so is a client that leaves noticed. What it sends meanwhile is its
  // next request. One that only ends its own sending cannot be told from one that left.
  void Watch() {
    if (buffer_.size() >= kMostPipelined) return;
    watching_ = true;
    stream_.expires_never();
    stream_.async_read_some(buffer_.prepare(kReadBytes),
                            [self = shared_from_this()](const ErrorCode& error, size_t read) {
                              self->watching_ = false;
                              self->buffer_.commit(read);
                              if (error && error != asio::error::operation_aborted) self->left_ = true;
                              if (!error && self->exchange_) self->Watch();
                              self->signal_.cancel();
                            });
  }

  Task<void> Changed() {
    ErrorCode cancelled;
    signal_.expires_at(asio::steady_timer::time_point::max());
    co_await signal_.async_wait(Into(cancelled));
  }

  // To close while unread bytes lie there would take our last answer from the client.
  Task<void> Close() {
    stream_.socket().shutdown(tcp::socket::shutdown_send, ignored_);
    ErrorCode error = ignored_;
    stream_.expires_after(limits_.linger);
    while (!error) {
      buffer_.clear();
      co_await stream_.async_read_some(buffer_.prepare(kReadBytes), Into(error));
    }
  }

  static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

  HttpServer::Impl& server_;
  const HttpLimits& limits_;
  beast::tcp_stream stream_;
  beast::flat_buffer buffer_{kMostPipelined + 4 * kReadBytes};
  asio::steady_timer signal_;  // a cancelled wait is the wake-up
  std::shared_ptr<HttpExchange> exchange_;
  bool watching_ = false;
  bool left_ = false;    // the client closed its end
  bool failed_ = false;  // nothing more can be sent
  ErrorCode ignored_;
};

std::shared_ptr<void> HttpServer::Impl::TakeMemory(size_t bytes) {
  const size_t most = std::max(limits.all_bodies_bytes, limits.body_bytes);
  if (bytes > most - std::min(most, body_bytes.load())) return nullptr;
  body_bytes += bytes;
  return {this, [bytes](Impl* server) { server->body_bytes -= bytes; }};
}

Task<void> HttpServer::Impl::Accept() {
  for (;;) {
    ErrorCode error;
    tcp::socket socket = co_await acceptor.async_accept(Into(error));
    if (error == asio::error::operation_aborted) co_return;
    if (error) {  // no descriptor is left, most likely
      asio::steady_timer later(io, kAcceptAgain);
      co_await later.async_wait(Into(error));
      continue;
    }
    if (connections >= limits.connections) {
      HttpRequest nobody;
      nobody.keep_alive = false;
      const std::string body = refusal(503, "too many connections");
      const std::string answer = fmt::format(
          "HTTP/1.1 503 {}\r\nContent-Type: application/json\r\nretry-after: 1\r\nConnection: "
          "close\r\nContent-Length: {}\r\n\r\n{}",
          ReasonPhrase(503), body.size(), body);
      socket.non_blocking(true, error);
      if (!error) socket.write_some(asio::buffer(answer), error);
      continue;
    }
    socket.set_option(tcp::no_delay(true), error);
    asio::co_spawn(io, Connection::Run(std::make_shared<Connection>(*this, std::move(socket))),
                   [](const std::exception_ptr& failure) {
                     if (failure) std::rethrow_exception(failure);
                   });
  }
}

void HttpServer::Impl::AwaitSignal() {
  signals.async_wait([this](const ErrorCode& error, int number) {
    if (error) return;
    on_signal(number);
    AwaitSignal();
  });
}

HttpServer::HttpServer(const std::string& host, uint16_t port, const HttpLimits& limits, Handler handler,
                       Refusal refusal)
    : impl_(std::make_unique<Impl>(limits, std::move(handler), std::move(refusal))) {
  try {
    tcp::resolver resolver(impl_->io);
    const auto found = resolver.resolve(host, std::to_string(port), tcp::resolver::passive);
    const tcp::endpoint endpoint = found.begin()->endpoint();
    impl_->acceptor.open(endpoint.protocol());
    impl_->acceptor.set_option(tcp::acceptor::reuse_address(true));
    impl_->acceptor.bind(endpoint);
    impl_->acceptor.listen();
  } catch (const boost::system::system_error& error) {
    Fail(ErrorKind::kUsage, "host {}, port {}: {}", host, port, error.code().message());
  }
}

HttpServer::~HttpServer() {
  impl_->worker.stop();
  impl_->worker.join();
}

std::string HttpServer::address() const {
  const tcp::endpoint endpoint = impl_->acceptor.local_endpoint();
  const std::string address = endpoint.address().to_string();
  return fmt::format(fmt::runtime(endpoint.address().is_v6() ? "[{}]:{}" : "{}:{}"), address,
                     endpoint.port());
}

bool HttpServer::loopback() const { return impl_->acceptor.local_endpoint().address().is_loopback(); }

void HttpServer::Run() {
  asio::co_spawn(impl_->io, impl_->Accept(), asio::detached);
  for (;;) {
    try {
      impl_->io.run();
      impl_->when_idle = nullptr;
      return;
    } catch (const std::exception& failure) {
      Log(LogLevel::kError, "server: {}", failure.what());
    }
  }
}

void HttpServer::Stop() { impl_->io.stop(); }

void HttpServer::Post(std::function<void()> function) { asio::post(impl_->io, std::move(function)); }

void HttpServer::PostAfter(std::chrono::milliseconds time, std::function<void()> function) {
  const auto timer = std::make_shared<asio::steady_timer>(impl_->io, time);
  timer->async_wait([timer, function = std::move(function)](const ErrorCode& error) {
    if (!error) function();
  });
}

void HttpServer::Work(std::function<void()> job) { asio::post(impl_->worker, std::move(job)); }

void HttpServer::TakeSignals(const std::vector<int>& signals, std::function<void(int)> on_signal) {
  impl_->on_signal = std::move(on_signal);
  for (const int number : signals) impl_->signals.add(number);
  impl_->AwaitSignal();
}

void HttpServer::WhenIdle(std::function<void()> idle) {
  impl_->when_idle = std::move(idle);
  impl_->TellIdle();
}

}  // namespace oxidized::server
