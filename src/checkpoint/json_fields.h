// Typed access to the fields of a configuration file, with the file and the field named in every complaint.
// Internal to checkpoint/, for .cc files.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/error.h"
#include "checkpoint/message_text.h"

namespace oxidized {

// A value as a message shows it: "text", 4, true, an array.
inline std::string JsonText(const nlohmann::json& value) {
  if (value.is_structured()) return "an " + std::string(value.type_name());
  return value.is_string() ? Quoted(value.get_ref<const std::string&>()) : value.dump();
}

// One JSON object of the config; `where` names it in messages ("config.json: rope_scaling.").
class JsonFields {
 public:
  JsonFields(const nlohmann::json& object, std::string where) : object_(&object), where_(std::move(where)) {}

  // A null counts as absent: transformers writes None so.
  const nlohmann::json* Find(const char* key) const {
    const auto found = object_->find(key);
    return found == object_->end() || found->is_null() ? nullptr : &*found;
  }
  bool IsNull(const char* key) const { return object_->contains(key) && (*object_)[key].is_null(); }

  template <typename Int>
  std::optional<Int> Integer(const char* key) const {
    const nlohmann::json* value = Find(key);
    if (value == nullptr) return std::nullopt;
    return ToInteger<Int>(*value, key);
  }

  template <typename Int>
  Int RequiredInteger(const char* key) const {
    const std::optional<Int> value = Integer<Int>(key);
    if (!value) Fail(ErrorKind::kBadFile, "{}{} is missing", where_, key);
    return *value;
  }

  template <typename Int>
  Int ToInteger(const nlohmann::json& value, const char* key) const {
    // Some writers store whole numbers as 128.0.
    const bool whole = value.is_number_float() && std::trunc(value.get<double>()) == value.get<double>();
    if (!value.is_number_integer() && !whole) Wrong(key, "an integer", value);
    const double number = value.get<double>();
    if (!(number >= static_cast<double>(std::numeric_limits<int32_t>::min()) &&
          number <= static_cast<double>(std::numeric_limits<int32_t>::max()))) {
      Wrong(key, "an integer of 32 bits", value);
    }
    return static_cast<Int>(number);
  }

  std::optional<double> Number(const char* key) const {
    const nlohmann::json* value = Find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_number()) Wrong(key, "a number", *value);
    const double number = value->get<double>();
    if (!(std::fabs(number) <= std::numeric_limits<float>::max())) Wrong(key, "a finite number", *value);
    return number;
  }

  std::optional<bool> Bool(const char* key) const {
    const nlohmann::json* value = Find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_boolean()) Wrong(key, "true or false", *value);
    return value->get<bool>();
  }

  std::optional<std::string> String(const char* key) const {
    const nlohmann::json* value = Find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_string()) Wrong(key, "a string", *value);
    return value->get<std::string>();
  }

  std::optional<JsonFields> Object(const char* key) const {
    const nlohmann::json* value = Find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_object()) Wrong(key, "an object", *value);
    return JsonFields(*value, where_ + key + ".");
  }

  [[noreturn]] void Wrong(const char* key, const char* expected, const nlohmann::json& found) const {
    Fail(ErrorKind::kBadFile, "{}{} is {}, expected {}", where_, key, JsonText(found), expected);
  }

  const std::string& where() const { return where_; }

 private:
  const nlohmann::json* object_;
  std::string where_;
};

}  // namespace oxidized
