// A thread sleeps until a word changes: the one part of a team that differs between operating systems.
#pragma once

#include <atomic>
#include <cstdint>

namespace oxidized::internal {

// Sleeps while `word` is `old_value` until WakeAll(word); may return earlier, so callers look again. Where
// the word changes before WakeAll is called, no wake is lost.
void Park(const std::atomic<uint32_t>& word, uint32_t old_value);
void WakeAll(std::atomic<uint32_t>& word);

}  // namespace oxidized::internal
