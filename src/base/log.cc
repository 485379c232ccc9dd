#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

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

void LogMessage(LogLevel level, std::string_view message) {
  Logger().log(Level(level), EscapeUnprintable(message));  // one line
}

}  // namespace oxidized
