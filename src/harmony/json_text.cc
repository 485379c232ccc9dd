#include "harmony/json_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace oxidized {
namespace {

// Shortest digits that give the double back, laid out as the Rust crate `ryu` does.
std::string FormatDouble(double value) {
  char buffer[40];
  const auto end =
      std::to_chars(buffer, buffer + sizeof(buffer), std::abs(value), std::chars_format::scientific).ptr;
  const std::string_view text(buffer, static_cast<size_t>(end - buffer));
  const size_t e = text.find('e');
  std::string digits(text.substr(0, 1));
  if (e > 2) digits += text.substr(2, e - 2);
  int exponent = 0;
  const std::string_view power = text.substr(e + (text[e + 1] == '+' ? 2 : 1));
  std::from_chars(power.data(), power.data() + power.size(), exponent);

  const int length = static_cast<int>(digits.size());
  const int point = exponent + 1;  // digits before the decimal point
  std::string out = std::signbit(value) ? "-" : "";
  const auto zeros = [](int count) { return std::string(static_cast<size_t>(count), '0'); };
  const auto first = static_cast<size_t>(std::max(point, 0));
  if (value == 0) return out += "0.0";
  if (length <= point && point <= 16) return out += digits + zeros(point - length) + ".0";
  if (0 < point && point <= 16) return out += digits.substr(0, first) + "." + digits.substr(first);
  if (-5 < point && point <= 0) return out.append("0.").append(zeros(-point)).append(digits);
  out += digits.substr(0, 1);
  if (length > 1) out.append(".").append(digits, 1);
  return out.append("e").append(std::to_string(exponent));
}

std::string QuoteJson(const std::string& text) {
  return OrderedJson(text).dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

void AppendCompact(const OrderedJson& value, std::string& out) {
  const char* separator = "";
  if (value.is_object()) {
    out += '{';
    for (const auto& [key, member] : value.items()) {
      out += separator;
      out += QuoteJson(key);
      out += ':';
      AppendCompact(member, out);
      separator = ",";
    }
    out += '}';
  } else if (value.is_array()) {
    out += '[';
    for (const auto& element : value) {
      out += separator;
      AppendCompact(element, out);
      separator = ",";
    }
    out += ']';
  } else if (value.is_number_float()) {
    out += FormatDouble(value.get<double>());
  } else if (value.is_string()) {
    out += QuoteJson(value.get_ref<const std::string&>());
  } else {
    out += value.dump();
  }
}

}  // namespace

OrderedJson ParseJson(std::string_view text, std::string_view name, size_t most_members) {
  std::array<size_t, kMaxJsonDepth + 2> members{};  // of the open objects, by depth
  const auto check = [&](int depth, OrderedJson::parse_event_t event, OrderedJson&) {
    if (depth > kMaxJsonDepth)
      Fail(ErrorKind::kBadFile, "{}: JSON nested deeper than {} levels", name, kMaxJsonDepth);
    const auto at = static_cast<size_t>(depth);
    if (event == OrderedJson::parse_event_t::object_start) members[at + 1] = 0;
    if (event == OrderedJson::parse_event_t::key && ++members[at] > most_members)
      Fail(ErrorKind::kBadFile, "{}: an object of JSON with more than {} members", name, most_members);
    return true;
  };
  try {
    return OrderedJson::parse(text, check);
  } catch (const nlohmann::json::parse_error& error) {
    Fail(ErrorKind::kBadFile, "{}: not valid JSON at byte {}", name, error.byte);
  } catch (const nlohmann::json::exception&) {
    Fail(ErrorKind::kBadFile, "{}: JSON with a number out of range", name);
  }
}

std::string CompactJson(const OrderedJson& value) {
  std::string out;
  AppendCompact(value, out);
  return out;
}

const OrderedJson* Member(const OrderedJson& value, const char* key) {
  if (!value.is_object()) return nullptr;
  const auto found = value.find(key);
  return found == value.end() ? nullptr : &*found;
}

}  // namespace oxidized
