// What connections get that are slow, too many or too large, with limits short enough to wait for.
#include "server/http_server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <optional>
#include <thread>

#include "base/error.h"

namespace oxidized::server {
namespace {

class Client {
 public:
  explicit Client(const std::string& address) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
    EXPECT_EQ(::connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof(to)), 0);
  }
  ~Client() { ::close(socket_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void Send(std::string_view bytes) {
    EXPECT_EQ(::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  // Until the server closes.
  std::string ReadAll() {
    std::string all;
    char buffer[4096];
    for (ssize_t got = 0; (got = ::recv(socket_, buffer, sizeof(buffer), 0)) > 0;)
      all.append(buffer, static_cast<size_t>(got));
    return all;
  }
  std::string Read(size_t bytes) {
    std::string all(bytes, '\0');
    EXPECT_EQ(::recv(socket_, all.data(), bytes, MSG_WAITALL), static_cast<ssize_t>(bytes));
    return all;
  }

 private:
  const int socket_;
};

class HttpServerTest : public testing::Test {
 protected:
  void Serve(const HttpLimits& limits, HttpServer::Handler handler) {
    server_.emplace("127.0.0.1", 0, limits, std::move(handler),
                    [](int status, const std::string&) { return std::to_string(status); });
    thread_ = std::jthread([this] { server_->Run(); });
  }
  void TearDown() override {
    server_->Stop();
    thread_.join();
  }
  static void Echo(const std::shared_ptr<HttpExchange>& exchange) {
    exchange->Respond(200, "text/plain", exchange->request.path + exchange->request.body);
  }

  std::optional<HttpServer> server_;
  std::jthread thread_;
};

constexpr std::string_view kGet = "GET /x HTTP/1.1\r\nHost: h\r\n\r\n";

TEST_F(HttpServerTest, SlowRequestsEnd) {
  HttpLimits limits;
  limits.header = limits.body = limits.idle = std::chrono::milliseconds(50);
  Serve(limits, Echo);
  Client header(server_->address()), body(server_->address()), idle(server_->address());
  header.Send("GET / HT");
  body.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab");
  EXPECT_EQ(header.ReadAll(), "");
  EXPECT_EQ(body.ReadAll(), "");
  EXPECT_EQ(idle.ReadAll(), "");
}

TEST_F(HttpServerTest, OneConnectionTooManyIsTold) {
  HttpLimits limits;
  limits.connections = 1;
  Serve(limits, Echo);
  Client first(server_->address());
  first.Send(kGet);
  EXPECT_EQ(first.Read(15), "HTTP/1.1 200 OK");
  Client second(server_->address());
  EXPECT_NE(second.ReadAll().find(" 503 "), std::string::npos);
}

TEST_F(HttpServerTest, BodiesShareABudget) {
  HttpLimits limits;
  limits.body_bytes = limits.all_bodies_bytes = 100;
  Serve(limits, Echo);
  Client first(server_->address()), second(server_->address());
  first.Send("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 60\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(first.Read(12), "HTTP/1.1 100");
  second.Send("POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 60\r\n\r\n");
  EXPECT_NE(second.ReadAll().find(" 503 "), std::string::npos);
  first.Send(std::string(60, 'x'));
  first.Read(13 + 15);  // the rest of the first head, and the second one
  Client third(server_->address());
  third.Send("POST /c HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 60\r\n\r\n" +
             std::string(60, 'x'));
  EXPECT_NE(third.ReadAll().find(" 200 "), std::string::npos);
}

TEST_F(HttpServerTest, WhatAHandlerThrowsIsAStatusOfItsRequest) {
  Serve({}, [](const std::shared_ptr<HttpExchange>& exchange) {
    if (exchange->request.path == "/x") throw std::runtime_error("planted");
    Echo(exchange);
  });
  Client client(server_->address());
  client.Send(kGet);
  client.Send("GET /y HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  const std::string got = client.ReadAll();
  EXPECT_TRUE(got.starts_with("HTTP/1.1 500 ")) << got;
  EXPECT_TRUE(got.ends_with("/y")) << got;
}

TEST_F(HttpServerTest, WhoIsIdleIsAskedForMoreAndWhoLeftIsKnown) {
  std::atomic<int> gone = 0;
  Serve({}, [&](const std::shared_ptr<HttpExchange>& exchange) {
    exchange->Begin(200, "text/plain");
    const auto left = std::make_shared<int>(3);
    exchange->Watch(
        [exchange, left] {
          if (--*left > 0) return exchange->Write("more");
          if (exchange->request.path == "/x") exchange->End();
        },
        [&] { ++gone; });
  });
  {
    Client client(server_->address());
    client.Send("GET /x HTTP/1.0\r\n\r\n");
    EXPECT_TRUE(client.ReadAll().ends_with("\r\n\r\nmoremore"));
  }
  EXPECT_EQ(gone, 0);
  {
    Client client(server_->address());
    client.Send("GET /endless HTTP/1.1\r\nHost: h\r\n\r\n");
    client.Read(15);
  }
  while (gone == 0) std::this_thread::yield();
}

TEST(HttpPath, IsDecodedOnce) {
  std::string path;
  EXPECT_TRUE(DecodePath("/a%2Fb%2525?q=%zz", path));
  EXPECT_EQ(path, "/a/b%25");
  for (const char* bad : {"", "a", "*", "http://h/", "/%", "/%1", "/%g1", "/%1g", "/%+1", "/%00"})
    EXPECT_FALSE(DecodePath(bad, path)) << bad;
}

}  // namespace
}  // namespace oxidized::server
