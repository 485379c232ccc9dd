// Messages beside the results, for people. Libraries hand them over here; who shows
// them is the front end's business. Until it says so, nobody does.
#pragma once

#include <fmt/core.h>

#include <functional>

#include "base/error.h"

namespace oxidized {

enum class LogLevel { kInfo, kWarning, kError };

// Called with one message at a time, from any thread. Must not log.
using LogSink = std::function<void(LogLevel level, const Fault& message)>;
void SetLogSink(LogSink sink);

void LogFault(LogLevel level, const Fault& message);

template <typename... Args>
void Log(LogLevel level, fmt::format_string<Args...> format, Args&&... args) {
  LogFault(level, {.found = fmt::format(format, std::forward<Args>(args)...)});
}

}  // namespace oxidized
