// What becomes of each field of a request: one table for every route, which docs/server.md shows (a test
// compares them). A field that is not in it is ignored.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "server/request_body.h"

namespace oxidized::server {

enum class Treatment : uint8_t {
  kHonoured,
  kRefused,  // 400 that names it, unless its value asks for nothing
  kIgnored,  // accepted; changes nothing
};
std::string_view Name(Treatment treatment);  // "honoured", "refused", "ignored"

enum class Api : uint8_t { kChat, kCompletions, kTokenize, kDetokenize };
std::string_view PathOf(Api api);  // "/v1/chat/completions"

struct FieldRow {
  Api api;
  std::string_view name;
  Treatment treatment;
  std::string_view idle =
      {};  // of a refused field: the value that asks for nothing, as compact JSON; null always is
  std::string_view why = {};  // of a refused one: what a client is told
};
std::span<const FieldRow> FieldTable();

// Throws ApiError for a field that is refused.
void CheckFields(Api api, const RequestObject& request);

}  // namespace oxidized::server
