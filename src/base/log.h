// Messages for the person at the terminal, on stderr: `oxidized_gpt_oss: warning: …`. Library code reports
// through here and through Error, and never prints to stdout.
#pragma once

#include <fmt/core.h>

#include <string_view>

namespace oxidized {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

void SetLogLevel(LogLevel lowest);
void LogMessage(LogLevel level, std::string_view message);

template <typename... Args>
void Log(LogLevel level, fmt::format_string<Args...> format, Args&&... args) {
  LogMessage(level, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace oxidized
