#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <mutex>
#include <utility>

#include "base/log_sink.h"
#include "base/printable.h"

namespace oxidized {
namespace {

spdlog::logger& Logger() {
  static auto* logger = [] {
    auto* made = new spdlog::logger("oxidized_gpt_oss", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%n: %l: %v");
    return made;
  }();
  return *logger;
}

struct Redirection {
  std::mutex mutex;
  LogSink sink;
};
Redirection& Redirected() {
  static auto* made = new Redirection;  // threads may log until the process ends
  return *made;
}

spdlog::level::level_enum Level(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

}  // namespace

void SetLogLevel(LogLevel lowest) { Logger().set_level(Level(lowest)); }

void SetLogSink(LogSink sink) {
  Redirection& redirected = Redirected();
  std::lock_guard lock(redirected.mutex);
  redirected.sink = std::move(sink);
}

void LogMessage(LogLevel level, std::string_view message) {
  const std::string line = EscapeUnprintable(message);
  Redirection& redirected = Redirected();
  std::unique_lock lock(redirected.mutex);
  if (redirected.sink) return redirected.sink(level, line);
  lock.unlock();
  Logger().log(Level(level), line);
}

}  // namespace oxidized
