// The engine's own record of one request: its tokens, how far they are computed, and the KV blocks that hold
// them. Shared between the engine, which lists it by id, and the steps in flight that hold rows of it.
#pragma once

#include <chrono>
#include <exception>
#include <memory>
#include <vector>

#include "engine/draft.h"
#include "engine/own_sinks.h"
#include "engine/request.h"
#include "kv/prefix_tree.h"

namespace oxidized {

using EngineClock = std::chrono::steady_clock;
inline double Microseconds(EngineClock::duration d) {
  return std::chrono::duration<double, std::micro>(d).count();
}

struct Sequence : std::enable_shared_from_this<Sequence> {
  RequestId id = 0;
  Request request;
  std::vector<int32_t> tokens;       // prompt, then everything generated
  int64_t computed = 0;              // tokens whose KV is in the tables, of steps that have ended well
  int64_t in_flight = 0;             // rows behind them in steps submitted and not advanced, drafts apart
  int64_t observed = 0;              // tokens whose routing and scores were reported
  int32_t slot = -1;                 // -1: waiting
  int32_t variant = -1;              // what its KV depends on besides tokens; -1: not to be shared
  std::vector<BlockTable> tables;    // one for each KV group
  PrefixTree::Place place;           // how much of it others can resume behind
  const Sequence* leader = nullptr;  // waiting: the running one that computes its next block, if any
  int64_t common_with_leader = 0;    // tokens
  bool may_guess = false;
  std::unique_ptr<DraftSource> guesses;  // made at its first decoding step: those that wait hold none
  std::vector<int32_t> draft;            // guessed tokens that go into the next step behind the pending one
  std::unique_ptr<OnceSink> logits;      // null: nobody wants them
  std::unique_ptr<OwnTaps> taps;
  bool may_mask = false;             // its controller may give masks
  bool wants_router_logits = false;  // one of its observers does
  bool holds_steps = false;          // while it runs no step goes out before the one before has ended
  std::vector<Event> events;
  uint64_t changed_in = 0;  // the list of changed requests (Engine::TakeChanged) that it is on
  RequestStats stats;
  bool finished = false;
  std::exception_ptr failure;  // what its controller threw where that could not end it; its next rows do

  EngineClock::time_point submitted, started, prompt_done;

  int64_t prompt_tokens() const { return static_cast<int64_t>(request.prompt.size()); }
  int64_t planned() const { return computed + in_flight; }  // tokens computed or in flight
  int64_t pending() const { return static_cast<int64_t>(tokens.size()) - planned(); }
  // Whether it goes on for certain, stop rules apart, once the step in flight has given its next token.
  bool GoesOn(int64_t max_context) const {
    return stats.generated_tokens + 1 < request.max_new_tokens &&
           static_cast<int64_t>(tokens.size()) + 1 < max_context;
  }
  // What the controller allows next; nullptr: it says nothing (or threw: `failure`).
  const TokenMask* NextMask() {
    if (!may_mask || failure) return nullptr;
    try {
      return request.controller->NextMask();
    } catch (...) {
      failure = std::current_exception();
      return nullptr;
    }
  }
};

}  // namespace oxidized
