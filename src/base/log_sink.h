// Where the messages of base/log.h go, for who does not want them on stderr.
#pragma once

#include <functional>
#include <string_view>

#include "base/log.h"

namespace oxidized {

// One line at a time, from any thread; must not log. Empty: to stderr, as without a sink.
using LogSink = std::function<void(LogLevel level, std::string_view line)>;
void SetLogSink(LogSink sink);

}  // namespace oxidized
