// Typed access to a request's JSON, under limits; every complaint is a 400 that names the field. For .cc
// files.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harmony/json_text.h"

namespace oxidized::server {

// Throws ApiError: not JSON, too deep, not UTF-8, not an object.
OrderedJson ParseBody(std::string_view body);

// An object and its place in the request ("" for the request itself). A null counts as absent.
class RequestObject {
 public:
  explicit RequestObject(const OrderedJson& object, std::string place = "");  // throws where it is none

  const OrderedJson* Find(const char* key) const;
  const OrderedJson& Required(const char* key) const;
  std::string PlaceOf(const char* key) const { return place_.empty() ? key : place_ + "." + key; }

  std::optional<bool> Bool(const char* key) const;
  std::optional<double> Number(const char* key, double low, double high) const;
  std::optional<int64_t> Integer(const char* key, int64_t low, int64_t high) const;
  std::optional<std::string> String(const char* key) const;
  std::optional<RequestObject> Object(const char* key) const;

  const OrderedJson& json() const { return *object_; }

 private:
  const OrderedJson* object_;
  std::string place_;
};

// The text of a string, or of an array of parts {"type": "text", "text": …}; 400 for any other part.
std::string TextOf(const OrderedJson& content, const std::string& place);

// "" for a value that is no array of strings, or one string, of `most` at most, none of them empty.
std::vector<std::string> OneOrMoreStrings(const OrderedJson& value, const std::string& place, size_t most);

}  // namespace oxidized::server
