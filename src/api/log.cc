#include "base/log.h"

#include <string>
#include <utility>

#include "base/printable.h"
#include "oxidized/model.h"

namespace oxidized::v1 {
namespace {

LogLevel Outer(oxidized::LogLevel level) {
  if (level == oxidized::LogLevel::kError) return LogLevel::kError;
  return level == oxidized::LogLevel::kWarning ? LogLevel::kWarning : LogLevel::kInfo;
}

}  // namespace

void SetLog(std::function<void(LogLevel level, std::string_view line)> log) {
  if (!log) return SetLogSink({});
  SetLogSink([log = std::move(log)](oxidized::LogLevel level, const Fault& message) {
    log(Outer(level),
        EscapeUnprintable(message.Text([](Setting setting) { return std::string(NameOf(setting)); })));
  });
}

}  // namespace oxidized::v1
