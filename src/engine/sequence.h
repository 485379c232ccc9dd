// The engine's own record of one request: its tokens, how far they are computed, and the KV blocks that hold
// them.
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <vector>

#include "engine/draft.h"
#include "engine/request.h"
#include "kv/block_pool.h"

namespace oxidized {

using EngineClock = std::chrono::steady_clock;

// Forwards each position once, also when a preempted sequence is computed again.
class OnceSink final : public LogitsSink {
 public:
  explicit OnceSink(LogitsSink* target) : target_(target) {}
  void Row(int64_t position, std::span<const float> logits) override {
    if (position < next_) return;
    next_ = position + 1;
    target_->Row(position, logits);
  }

 private:
  LogitsSink* target_;
  int64_t next_ = 0;
};

struct Sequence {
  RequestId id = 0;
  Request request;
  std::vector<int32_t> tokens;           // prompt, then everything generated
  int64_t computed = 0;                  // tokens whose KV is in the tables
  int64_t observed = 0;                  // tokens whose routing and scores were reported
  int32_t slot = -1;                     // -1: waiting
  int32_t variant = -1;                  // what its KV depends on besides tokens; -1: not to be shared
  std::vector<BlockTable> tables;        // one for each KV group
  std::unique_ptr<DraftSource> guesses;  // null: it must not or shall not speculate
  std::vector<int32_t> draft;            // guessed tokens that go into the next step behind the pending one
  std::unique_ptr<OnceSink> logits;
  std::deque<Event> events;
  RequestStats stats;
  bool finished = false;

  EngineClock::time_point submitted, started, prompt_done;

  int64_t prompt_tokens() const { return static_cast<int64_t>(request.prompt.size()); }
  int64_t pending() const { return static_cast<int64_t>(tokens.size()) - computed; }
};

}  // namespace oxidized
