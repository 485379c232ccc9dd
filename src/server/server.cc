#include "server/server.h"

#include <csignal>
#include <cstdlib>
#include <ctime>
#include <nlohmann/json.hpp>
#include <variant>

#include "base/log.h"
#include "server/api_error.h"
#include "server/chat_request.h"
#include "server/completion_request.h"
#include "server/fields.h"
#include "server/json_writer.h"
#include "server/metrics.h"
#include "tokenizer/decode.h"

namespace oxidized::server {
namespace {

constexpr const char* kJson = "application/json";

// Without a port; "[::1]:8080" is "::1".
std::string_view HostOf(std::string_view authority) {
  if (authority.starts_with('[')) return authority.substr(1, authority.find(']') - 1);
  return authority.substr(0, authority.find(':'));
}

// What a name server could not have turned to this machine for a page of somebody else's.
bool NamesThisMachine(std::string_view host) {
  const bool digits = host.find_first_not_of("0123456789.") == std::string_view::npos && !host.empty();
  const bool v6 = host.find(':') != std::string_view::npos;
  return digits || v6 || host == "localhost" || host.ends_with(".localhost");
}

}  // namespace

struct Server::Route {
  const char* path;
  const char* method;
  void (*handle)(Server&, const Shared&);
  bool open = false;    // needs no key
  bool prefix = false;  // and what follows is its argument

  static const Route kTable[];
};

const Server::Route Server::Route::kTable[] = {
    {"/health", "GET", [](Server& s, const Shared& e) { s.Health(e); }, true},
    {"/version", "GET", [](Server& s, const Shared& e) { s.Version(e); }},
    {"/v1/models", "GET", [](Server& s, const Shared& e) { s.Models(e); }},
    {"/v1/models/", "GET", [](Server& s, const Shared& e) { s.Model(e); }, false, true},
    {"/v1/chat/completions", "POST", [](Server& s, const Shared& e) { s.ChatCompletions(e); }},
    {"/v1/completions", "POST", [](Server& s, const Shared& e) { s.Completions(e); }},
    {"/tokenize", "POST", [](Server& s, const Shared& e) { s.Tokenize(e); }},
    {"/detokenize", "POST", [](Server& s, const Shared& e) { s.Detokenize(e); }},
    {"/metrics", "GET", [](Server& s, const Shared& e) { s.Metrics(e); }},
};

const Server::Route* Server::FindRoute(std::string_view path) {
  for (const Route& route : Route::kTable) {
    if (route.prefix ? path.starts_with(route.path) && path.size() > std::string_view(route.path).size()
                     : path == route.path)
      return &route;
  }
  return nullptr;
}

Server::Server(ServerOptions options)
    : options_(std::move(options)),
      keys_(options_.api_keys, options_.api_key_file),
      names_(options_.model_names, options_.model_path),
      created_(std::time(nullptr)),
      http_(
          options_.host, options_.port,
          [&] {
            HttpLimits limits;
            limits.body_bytes = static_cast<size_t>(options_.max_body_bytes);
            return limits;
          }(),
          [this](const Shared& exchange) { Handle(exchange); },
          [](int status, const std::string& message) { return ApiError(status, message).Json(); }) {}

Server::~Server() = default;

void Server::Run(Runtime& runtime) {
  runtime_ = &runtime;
  generations_ = std::make_shared<Generations>(
      runtime.loop(), runtime.tokenizer(),
      [this](std::function<void()> function) { http_.Post(std::move(function)); });
  struct sigaction hangup{};
  std::vector<int> signals = {SIGINT, SIGTERM};
  // Who began this under nohup does not want to hear of it.
  if (sigaction(SIGHUP, nullptr, &hangup) == 0 && hangup.sa_handler != SIG_IGN) signals.push_back(SIGHUP);
  http_.TakeSignals(signals, [this](int number) { OnSignal(number); });
  http_.Run();
  generations_->EndAll();
}

void Server::OnSignal(int number) {
  if (number == SIGHUP && keys_.has_file()) {
    try {
      keys_.Reload();
      Log(LogLevel::kInfo, "the keys were read again");
    } catch (const Error& error) {
      Log(LogLevel::kWarning, "{}; the keys stay as they were", error.what());
    }
    return;
  }
  if (draining_) std::_Exit(128 + number);
  Drain();
}

void Server::Drain() {
  draining_ = true;
  http_.PostAfter(std::chrono::seconds(options_.drain_seconds), [this] {
    Log(LogLevel::kWarning, "answers were cut: they took longer than {} s after the signal",
        options_.drain_seconds);
    http_.Stop();
  });
  http_.WhenIdle([this] { http_.Stop(); });
}

void Server::Handle(const Shared& exchange) {
  const HttpRequest& request = exchange->request;
  try {
    const Route* route = FindRoute(request.path);
    CheckAccess(request, route != nullptr && route->open);
    if (route == nullptr) throw ApiError(404, "there is no " + request.path + " here");
    const std::string_view method = request.method, asked = method == "HEAD" ? "GET" : method;
    if (asked != route->method) {
      const ApiError error(405, request.path + " takes " + route->method);
      return exchange->Respond(error.status(), kJson, error.Json(), {{"Allow", route->method}});
    }
    route->handle(*this, exchange);
  } catch (const ApiError& error) {
    Respond(*exchange, error);
  }
}

// Without a key whoever reaches the port may use it, and a browser on this machine reaches it for any page:
// so pages of others are sent away, by the name that they must use or by the origin that they must say.
void Server::CheckAccess(const HttpRequest& request, bool open) const {
  const std::string_view host = request.Field("host"), origin = request.Field("origin");
  if (!keys_.required() && http_.loopback() && !host.empty() && !NamesThisMachine(HostOf(host)))
    throw ApiError(403,
                   "this server is reached as localhost or by its address; with an API key any name will do");
  if (!origin.empty() && origin.substr(std::min(origin.size(), origin.find("//") + 2)) != host)
    throw ApiError(403, "pages of other origins may not use this server");
  if (!open && !keys_.Allow(request))
    throw ApiError(401, "a key is needed: Authorization: Bearer KEY, or x-api-key: KEY", "",
                   "invalid_api_key");
}

void Server::Health(const Shared& exchange) const {
  if (draining_) throw ApiError(503, "the server is shutting down");
  exchange->Respond(200, kJson, R"({"status":"ok"})");
}

void Server::Version(const Shared& exchange) const {
  std::string out;
  JsonWriter(out).BeginObject().Key("version").String(options_.version).EndObject();
  exchange->Respond(200, kJson, out);
}

void Server::WriteModel(const std::string& name, std::string& out) const {
  JsonWriter json(out);
  json.BeginObject().Key("id").String(name).Key("object").String("model").Key("created").Integer(created_);
  json.Key("owned_by").String("oxidized_gpt_oss");
  json.Key("max_model_len").Integer(runtime_->loop().info().max_context).EndObject();
}

void Server::Models(const Shared& exchange) const {
  std::string out;
  JsonWriter json(out);
  json.BeginObject().Key("object").String("list").Key("data").BeginArray();
  for (const std::string& name : names_.names()) WriteModel(name, out);
  json.EndArray().EndObject();
  exchange->Respond(200, kJson, out);
}

void Server::Model(const Shared& exchange) const {
  const std::string asked = exchange->request.path.substr(std::string_view("/v1/models/").size());
  std::string out;
  WriteModel(names_.Resolve(asked), out);
  exchange->Respond(200, kJson, out);
}

void Server::Metrics(const Shared& exchange) const {
  exchange->Respond(
      200, "text/plain; version=0.0.4",
      MetricsText({.model = names_.names().front(),
                   .totals = generations_->totals(),
                   .running = generations_->decoding(),
                   .waiting = generations_->answers() - generations_->decoding() + preparing_}));
}

RequestContext Server::Context() const {
  const ExecutorInfo& info = runtime_->loop().info();
  return {.model = runtime_->model(),
          .routing = options_.routing,
          .max_context = info.max_context,
          .most_top_logprobs = info.can.top_logprobs,
          .date = options_.date ? options_.date() : std::nullopt};
}

void Server::ChatCompletions(const Shared& exchange) { Generate(exchange, ReadChatRequest, MakeChatWriter); }

void Server::Completions(const Shared& exchange) {
  Generate(exchange, ReadCompletionRequest, MakeCompletionWriter);
}

namespace {

// What became of a request on the worker's thread.
template <typename Result, typename Make>
std::variant<Result, ApiError> Try(Make make) {
  try {
    return make();
  } catch (const ApiError& error) {
    return error;
  } catch (const Error& error) {
    return ToApiError({error.kind(), error.what()});
  } catch (const std::exception& failure) {
    Log(LogLevel::kError, "server: {}", failure.what());
    return ApiError(500, "an internal error, see the server's log");
  }
}

}  // namespace

// Long prompts take time to read: that is done on the worker's thread, so that nobody's stream waits for it.
void Server::Generate(const Shared& exchange, Read read, MakeWriter make_writer) {
  if (draining_) throw ApiError(503, "the server is shutting down");
  const int64_t most = int64_t{options_.max_queue} + runtime_->loop().info().max_sequences;
  if (generations_->answers() + preparing_ >= most)
    throw ApiError(429, fmt::format("{} answers run or wait, which is the most: come again", most));
  ++preparing_;
  http_.Work([this, exchange, read, make_writer, context = Context()] {
    using Outcome = std::variant<PreparedRequest, ApiError>;
    const auto outcome = std::make_shared<Outcome>(Try<PreparedRequest>([&] {
      const OrderedJson json = ParseBody(exchange->request.body);
      return read(RequestObject(json), context);
    }));
    http_.Post([this, exchange, make_writer, outcome] {
      --preparing_;
      exchange->request.body = {};
      exchange->request.memory = nullptr;
      if (exchange->gone()) return;
      try {
        if (const auto* error = std::get_if<ApiError>(outcome.get())) throw ApiError(*error);
        Start(exchange, std::move(std::get<PreparedRequest>(*outcome)), make_writer);
      } catch (const ApiError& error) {
        Respond(*exchange, error);
      }
    });
  });
}

void Server::Start(const Shared& exchange, PreparedRequest prepared, MakeWriter make_writer) {
  auto writer = make_writer(prepared, names_.Resolve(prepared.model_name));
  generations_->Start(exchange, std::move(prepared), std::move(writer));
}

void Server::Compute(const Shared& exchange, std::function<std::string(const RequestObject&)> make) {
  http_.Work([this, exchange, make = std::move(make)] {
    auto outcome = Try<std::string>([&] {
      const OrderedJson json = ParseBody(exchange->request.body);
      return make(RequestObject(json));
    });
    http_.Post([exchange, outcome = std::move(outcome)] {
      if (exchange->gone()) return;
      if (const auto* error = std::get_if<ApiError>(&outcome)) return Respond(*exchange, *error);
      exchange->Respond(200, kJson, std::get<std::string>(outcome));
    });
  });
}

void Server::Tokenize(const Shared& exchange) {
  Compute(exchange, [this, context = Context()](const RequestObject& request) {
    CheckFields(Api::kTokenize, request);
    names_.Resolve(request.String("model").value_or(""));
    const Tokenizer& tokenizer = context.model->tokenizer();
    std::vector<int32_t> ids;
    if (request.Find("messages") != nullptr) {
      PreparedRequest unused;
      ids = ChatPrompt(ReadConversation(request, context, unused), tokenizer, context.model->harmony());
    } else {
      const auto prompt = request.String("prompt");
      if (!prompt) Refuse("prompt", "is required, or messages");
      ids = tokenizer.EncodeWithSpecials(*prompt);
    }
    std::string out;
    JsonWriter json(out);
    json.BeginObject().Key("count").Integer(ids.size()).Key("max_model_len").Integer(context.max_context);
    json.Key("tokens").BeginArray();
    for (const int32_t id : ids) json.Integer(id);
    json.EndArray().EndObject();
    return out;
  });
}

void Server::Detokenize(const Shared& exchange) {
  Compute(exchange, [this, context = Context()](const RequestObject& request) {
    CheckFields(Api::kDetokenize, request);
    names_.Resolve(request.String("model").value_or(""));
    const Tokenizer& tokenizer = context.model->tokenizer();
    const std::vector<int32_t> ids = ReadTokenIds(request.Required("tokens"), "tokens", tokenizer);
    std::string out;
    JsonWriter(out).BeginObject().Key("prompt").String(Decode(ids, tokenizer)).EndObject();
    return out;
  });
}

}  // namespace oxidized::server
