#include "base/interrupt.h"

#include <atomic>

namespace oxidized {
namespace {

std::atomic<bool (*)()> check = nullptr;

}  // namespace

void SetInterruptCheck(bool (*wanted)()) { check = wanted; }

void ThrowIfInterrupted() {
  if (bool (*wanted)() = check; wanted != nullptr && wanted()) throw Interrupted{};
}

}  // namespace oxidized
