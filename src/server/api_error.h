// Why a request is not answered, in the form that OpenAI's clients read: a status and {"error": {...}}.
#pragma once

#include <stdexcept>
#include <string>

#include "base/error.h"
#include "server/http_exchange.h"

namespace oxidized::server {

class ApiError : public std::runtime_error {
 public:
  // `param`: the field that is wrong, "" for none; `code`: a word for programs, "" for none.
  ApiError(int status, const std::string& message, std::string param = "", std::string code = "")
      : std::runtime_error(message), status_(status), param_(std::move(param)), code_(std::move(code)) {}

  int status() const { return status_; }
  const std::string& param() const { return param_; }
  std::string Json() const;   // {"error": {...}}
  HttpFields Fields() const;  // retry-after, where it helps to come back

 private:
  int status_;
  std::string param_, code_;
};

// 400 for the field at `param`.
[[noreturn]] void Refuse(const std::string& param, const std::string& message);

// What the engine or the text side says about a request, as clients are told it.
ApiError ToApiError(const RequestError& error);

void Respond(HttpExchange& exchange, const ApiError& error);

}  // namespace oxidized::server
