// The server: routes, who may use them, how many at once, and how it ends. HTTP itself is http_server.h, what
// generates is generation.h.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model_host/runtime.h"
#include "server/api_keys.h"
#include "server/generation.h"
#include "server/http_server.h"
#include "server/model_names.h"
#include "server/prepared.h"

namespace oxidized::server {

struct ServerOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 8080;  // 0: one that is free
  std::vector<std::string> api_keys;
  std::filesystem::path api_key_file;
  std::vector<std::string> model_names;  // empty: one that follows from model_path
  std::filesystem::path model_path;
  int32_t max_queue = 256;  // answers that wait while as many run as the engine takes
  int64_t max_body_bytes = 16 << 20;
  int32_t drain_seconds = 30;
  RoutingPolicy routing;
  std::function<std::optional<std::string>()> date;  // of the system messages to come
  std::string version;
};

class Server {
 public:
  // Listens: connections wait until Run. Throws Error(kUsage, kBadFile).
  explicit Server(ServerOptions options);
  ~Server();

  std::string address() const { return http_.address(); }
  const ModelNames& model_names() const { return names_; }

  // Serves until SIGTERM or SIGINT. The first one refuses what is new and waits for what runs, the second one
  // ends the process. SIGHUP reads the key file again, if there is one.
  void Run(Runtime& runtime);

 private:
  struct Route;
  using Shared = std::shared_ptr<HttpExchange>;
  using Read = PreparedRequest (*)(const RequestObject&, const RequestContext&);
  using MakeWriter = std::unique_ptr<AnswerWriter> (*)(const PreparedRequest&, std::string);

  static const Route* FindRoute(std::string_view path);
  void Handle(const Shared& exchange);
  void CheckAccess(const HttpRequest& request, bool open) const;
  void Generate(const Shared& exchange, Read read, MakeWriter make_writer);
  void Start(const Shared& exchange, PreparedRequest prepared, MakeWriter make_writer);
  // Answers 200 with what `make` returns of the request's JSON, on the worker's thread.
  void Compute(const Shared& exchange, std::function<std::string(const RequestObject&)> make);
  RequestContext Context() const;

  void Health(const Shared& exchange) const;
  void Version(const Shared& exchange) const;
  void Models(const Shared& exchange) const;
  void Model(const Shared& exchange) const;
  void Metrics(const Shared& exchange) const;
  void ChatCompletions(const Shared& exchange);
  void Completions(const Shared& exchange);
  void Tokenize(const Shared& exchange);
  void Detokenize(const Shared& exchange);

  void OnSignal(int number);
  void Drain();
  void WriteModel(const std::string& name, std::string& out) const;

  const ServerOptions options_;
  ApiKeys keys_;
  const ModelNames names_;
  const int64_t created_;
  HttpServer http_;
  Runtime* runtime_ = nullptr;
  std::shared_ptr<Generations> generations_;
  int64_t preparing_ = 0;  // requests on the worker's thread
  bool draining_ = false;
};

}  // namespace oxidized::server
