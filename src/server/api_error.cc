#include "server/api_error.h"

#include "server/json_writer.h"

namespace oxidized::server {
namespace {

constexpr const char* kRetrySeconds = "1";

std::string_view TypeOf(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 429:
      return "rate_limit_error";
    case 503:
      return "unavailable_error";
    default:
      return status >= 500 ? "server_error" : "invalid_request_error";
  }
}

void StringOrNull(JsonWriter& json, std::string_view key, const std::string& value) {
  json.Key(key);
  if (value.empty()) {
    json.Null();
  } else {
    json.String(value);
  }
}

}  // namespace

std::string ApiError::Json() const {
  std::string out;
  JsonWriter json(out);
  json.BeginObject().Key("error").BeginObject();
  json.Key("message").String(what()).Key("type").String(TypeOf(status_));
  StringOrNull(json, "param", param_);
  StringOrNull(json, "code", code_);
  json.EndObject().EndObject();
  return out;
}

HttpFields ApiError::Fields() const {
  if (status_ == 429 || status_ == 503) return {{"retry-after", kRetrySeconds}};
  if (status_ == 401) return {{"WWW-Authenticate", "Bearer"}};
  return {};
}

void Refuse(const std::string& param, const std::string& message) {
  throw ApiError(400, param.empty() ? message : param + ": " + message, param);
}

ApiError ToApiError(const RequestError& error) {
  switch (error.kind) {
    case ErrorKind::kContextFull:
      return {400, error.message, "", "context_length_exceeded"};
    case ErrorKind::kUsage:
    case ErrorKind::kBadFile:  // the format cannot express it
    case ErrorKind::kUnsupported:
      return {400, error.message};
    case ErrorKind::kNoMemory:
      return {503, error.message};
    default:
      return {500, error.message};
  }
}

void Respond(HttpExchange& exchange, const ApiError& error) {
  exchange.Respond(error.status(), "application/json", error.Json(), error.Fields());
}

}  // namespace oxidized::server
