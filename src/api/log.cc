#include "api/log.h"

#include <mutex>
#include <utility>

#include "base/log_sink.h"
#include "oxidized/model.h"

namespace oxidized::v1 {
namespace {

std::once_flag asked;

LogLevel Outer(oxidized::LogLevel level) {
  if (level == oxidized::LogLevel::kError) return LogLevel::kError;
  return level == oxidized::LogLevel::kWarning ? LogLevel::kWarning : LogLevel::kInfo;
}

}  // namespace

void BeQuietUnlessAsked() {
  std::call_once(asked, [] { SetLogSink([](oxidized::LogLevel, std::string_view) {}); });
}

void SetLog(std::function<void(LogLevel level, std::string_view line)> log) {
  BeQuietUnlessAsked();  // not later, over what is set here
  SetLogSink([log = std::move(log)](oxidized::LogLevel level, std::string_view line) {
    if (log) log(Outer(level), line);
  });
}

}  // namespace oxidized::v1
