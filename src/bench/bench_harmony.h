// Speed of the chat format: rendering a long conversation to ids, and parsing the ids back, on one core.
#pragma once

#include <cstdint>
#include <span>

#include "bench/figure.h"
#include "harmony/conversation.h"

namespace oxidized::cli {

// A conversation of about `tokens` tokens (o200k): reasoning, answers and tool calls over prose, code,
// numbers and several scripts. The same for the same seed.
Conversation LongConversation(int64_t tokens, uint64_t seed);

// Two figures of `runs` samples each, tokens/s, with the program's own vocabulary; `rows` is the number of
// tokens.
std::vector<Figure> BenchHarmony(int32_t runs, uint64_t seed);

}  // namespace oxidized::cli
