#include "cli/options/date.h"

#include <fmt/core.h>

#include <ctime>

namespace oxidized::cli {
namespace {

std::string Today() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  return fmt::format("{:04}-{:02}-{:02}", local.tm_year + 1900, local.tm_mon + 1, local.tm_mday);
}

bool IsDate(const std::string& text) {
  std::tm parsed{};
  const char* end = strptime(text.c_str(), "%Y-%m-%d", &parsed);
  if (text.size() != 10 || end == nullptr || *end != '\0') return false;
  std::tm normal = parsed;  // timegm turns February 30 into March
  timegm(&normal);
  return normal.tm_mday == parsed.tm_mday;
}

}  // namespace

std::optional<std::string> DateWish::Now() const { return today ? Today() : date; }

Value Date(DateWish& wish) {
  return {"DATE", [&wish](const std::string& text) {
            if (text != "today" && text != "none" && !IsDate(text))
              throw BadValue{fmt::format("'{}' is not a date like 2026-01-31, nor none, nor today", text)};
            wish.today = text == "today";
            wish.date = wish.today || text == "none" ? std::nullopt : std::optional(text);
          }};
}

}  // namespace oxidized::cli
