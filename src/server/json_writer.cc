#include "server/json_writer.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "base/utf8.h"

namespace oxidized::server {
namespace {

constexpr double kLeastNumber = -9999.0;

void AppendEscaped(char c, std::string& out) {
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
  }
}

}  // namespace

void AppendJsonString(std::string_view text, std::string& out) {
  out += '"';
  while (!text.empty()) {
    const auto byte = static_cast<unsigned char>(text.front());
    if (byte < 0x80) {
      if (byte < 0x20 || byte == '"' || byte == '\\' || byte == 0x7f) {
        AppendEscaped(text.front(), out);
      } else {
        out += text.front();
      }
      text.remove_prefix(1);
      continue;
    }
    const Utf8Unit unit = NextUtf8(text);
    out +=
        unit.kind == Utf8Unit::Kind::kValid ? text.substr(0, unit.length) : std::string_view("\xEF\xBF\xBD");
    text.remove_prefix(unit.length);
  }
  out += '"';
}

// A comma, unless this is the first of an object or array, or belongs to a key.
void JsonWriter::Separate() {
  if (out_.empty()) return;
  const char last = out_.back();
  if (last != '{' && last != '[' && last != ':') out_ += ',';
}

JsonWriter& JsonWriter::Open(char bracket) {
  Separate();
  out_ += bracket;
  return *this;
}

JsonWriter& JsonWriter::Close(char bracket) {
  out_ += bracket;
  return *this;
}

JsonWriter& JsonWriter::Key(std::string_view key) {
  String(key);
  out_ += ':';
  return *this;
}

JsonWriter& JsonWriter::String(std::string_view text) {
  Separate();
  AppendJsonString(text, out_);
  return *this;
}

JsonWriter& JsonWriter::Number(double value) {
  return Raw(fmt::format("{}", std::isfinite(value) ? std::max(value, kLeastNumber) : kLeastNumber));
}

JsonWriter& JsonWriter::Raw(std::string_view json) {
  Separate();
  out_ += json;
  return *this;
}

}  // namespace oxidized::server
