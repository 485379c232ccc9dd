#include "server/request_body.h"

#include <fmt/core.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "server/api_error.h"

namespace oxidized::server {
namespace {

constexpr size_t kMostMembers = 1024;  // of one object

[[noreturn]] void Expected(const std::string& place, const OrderedJson& found, std::string_view what) {
  Refuse(place, fmt::format("found {}, expected {}", found.type_name(), what));
}

}  // namespace

OrderedJson ParseBody(std::string_view body) {
  try {
    OrderedJson json = ParseJson(body, "the request's body", kMostMembers);
    if (!json.is_object()) Expected("", json, "an object of JSON as the request's body");
    return json;
  } catch (const Error& error) {
    throw ApiError(400, error.what());
  }
}

RequestObject::RequestObject(const OrderedJson& object, std::string place)
    : object_(&object), place_(std::move(place)) {
  if (!object.is_object()) Expected(place_, object, "an object");
}

const OrderedJson* RequestObject::Find(const char* key) const {
  const OrderedJson* member = Member(*object_, key);
  return member == nullptr || member->is_null() ? nullptr : member;
}

const OrderedJson& RequestObject::Required(const char* key) const {
  const OrderedJson* member = Find(key);
  if (member == nullptr) Refuse(PlaceOf(key), "is required");
  return *member;
}

std::optional<bool> RequestObject::Bool(const char* key) const {
  const OrderedJson* member = Find(key);
  if (member == nullptr) return std::nullopt;
  if (!member->is_boolean()) Expected(PlaceOf(key), *member, "true or false");
  return member->get<bool>();
}

std::optional<double> RequestObject::Number(const char* key, double low, double high) const {
  const OrderedJson* member = Find(key);
  if (member == nullptr) return std::nullopt;
  if (!member->is_number()) Expected(PlaceOf(key), *member, "a number");
  const auto number = member->get<double>();
  if (!(number >= low && number <= high))
    Refuse(PlaceOf(key), fmt::format("{} is not from {} to {}", number, low, high));
  return number;
}

std::optional<int64_t> RequestObject::Integer(const char* key, int64_t low, int64_t high) const {
  const OrderedJson* member = Find(key);
  if (member == nullptr) return std::nullopt;
  constexpr double kExact = 9007199254740992.0;  // 2^53: some clients write 5.0
  const bool whole = member->is_number_float() && std::abs(member->get<double>()) <= kExact &&
                     std::trunc(member->get<double>()) == member->get<double>();
  if (!member->is_number_integer() && !whole) Expected(PlaceOf(key), *member, "a whole number");
  const bool too_large = member->is_number_unsigned() && member->get<uint64_t>() > uint64_t{INT64_MAX};
  const int64_t number = too_large ? INT64_MAX : member->get<int64_t>();
  if (too_large || number < low || number > high)
    Refuse(PlaceOf(key), fmt::format("{} is not from {} to {}", member->dump(), low, high));
  return number;
}

std::optional<std::string> RequestObject::String(const char* key) const {
  const OrderedJson* member = Find(key);
  if (member == nullptr) return std::nullopt;
  if (!member->is_string()) Expected(PlaceOf(key), *member, "a string");
  return member->get<std::string>();
}

std::optional<RequestObject> RequestObject::Object(const char* key) const {
  const OrderedJson* member = Find(key);
  if (member == nullptr) return std::nullopt;
  return RequestObject(*member, PlaceOf(key));
}

std::string TextOf(const OrderedJson& content, const std::string& place) {
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array()) Expected(place, content, "a string or an array of parts");
  std::string text;
  for (size_t i = 0; i < content.size(); ++i) {
    const RequestObject part(content[i], fmt::format("{}[{}]", place, i));
    const std::string type = part.String("type").value_or("text");
    if (type != "text" && type != "input_text" && type != "output_text")
      Refuse(part.PlaceOf("type"), "only text can be read by this model");
    const OrderedJson& piece = part.Required("text");
    if (!piece.is_string()) Expected(part.PlaceOf("text"), piece, "a string");
    text += piece.get_ref<const std::string&>();
  }
  return text;
}

std::vector<std::string> OneOrMoreStrings(const OrderedJson& value, const std::string& place, size_t most) {
  if (value.is_string()) return OneOrMoreStrings(OrderedJson::array({value}), place, most);
  if (!value.is_array()) Expected(place, value, "a string or an array of strings");
  if (value.size() > most) Refuse(place, fmt::format("has {} strings, and may have {}", value.size(), most));
  std::vector<std::string> strings;
  for (const OrderedJson& element : value) {
    if (!element.is_string()) Expected(place, element, "strings");
    if (element.get_ref<const std::string&>().empty()) Refuse(place, "holds an empty string");
    strings.push_back(element.get<std::string>());
  }
  return strings;
}

}  // namespace oxidized::server
