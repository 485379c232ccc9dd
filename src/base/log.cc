#include "base/log.h"

#include <mutex>
#include <utility>

namespace oxidized {
namespace {

struct State {
  std::mutex mutex;
  LogSink sink;
};
State& Log() {
  static auto* state = new State;  // never destroyed: threads may outlive any order
  return *state;
}

}  // namespace

void SetLogSink(LogSink sink) {
  std::lock_guard lock(Log().mutex);
  Log().sink = std::move(sink);
}

void LogFault(LogLevel level, const Fault& message) {
  std::lock_guard lock(Log().mutex);
  if (Log().sink) Log().sink(level, message);
}

}  // namespace oxidized
