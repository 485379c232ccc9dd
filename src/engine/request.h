// What the engine is asked and what it answers: requests in, events out. No text here, only token ids.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "base/error.h"
#include "executor/step_batch.h"
#include "moe/routing_stats.h"

namespace oxidized {

using RequestId = uint64_t;

// Steers one sequence from outside the engine: reasoning budgets, stop rules, grammars. Called on the
// engine's thread, in token order, while the next step may be running. What it throws ends its request.
class TokenController {
 public:
  struct Verdict {
    bool stop = false;            // end the request; the token just seen is the last
    std::vector<int32_t> forced;  // tokens that follow without being sampled
  };
  virtual ~TokenController() = default;
  // After each sampled token (not after forced ones).
  virtual Verdict OnToken(int32_t token) = 0;
  // What may be sampled next; nullptr: the request's own mask. Must stay as it is until the next call of
  // OnToken, or as long as the engine holds the controller, and be the same however often it is asked for
  // before that. While there is one, nothing is guessed ahead. One that allows nothing ends the request.
  virtual const TokenMask* NextMask() { return nullptr; }
  // False: NextMask never gives one, whatever comes. Then the device need not wait for the host.
  virtual bool MayMask() const { return true; }
};

struct Request {
  std::vector<int32_t> prompt;  // not empty
  int64_t max_new_tokens = 0;   // 0: only run the prompt
  SamplingParams sampling;
  std::vector<int32_t> stop_tokens;  // ends the request; the stop token is reported, then Finished
  RoutingPolicy routing;
  int32_t adapter = -1;                   // of the executor's (ExecutorAbilities::adapters); -1: none
  std::shared_ptr<const TokenMask> mask;  // ids that may be sampled; null: all
  std::shared_ptr<TokenController> controller;
  int32_t top_logprobs = -1;  // 0: only each token's own log-probability; negative: none
  bool score_prompt = false;  // report the log-probability of prompt tokens 1, 2, ...
  // Positions in the prompt where others will go on differently (behind system messages): what a request must
  // have of the sliding layers to resume there is kept, in whole blocks. Any number, in any order.
  std::vector<int64_t> keep_at;
  int32_t priority = 0;          // higher runs first
  LogitsSink* logits = nullptr;  // gets every row once, in position order
  TapSink* taps = nullptr;       // tests: taps of all steps that run while the request does
  std::vector<RoutingObserver*> routing_observers;  // live until Finished was taken; they change no result
};

enum class StopReason : uint8_t {
  kStopToken,    // one of stop_tokens was sampled
  kController,   // the controller said so
  kLength,       // max_new_tokens
  kContextFull,  // no position or no KV memory left
  kCancelled,
  kError,
};
const char* Name(StopReason reason);

struct RequestStats {
  int64_t prompt_tokens = 0;
  int64_t read_tokens = 0;    // of the prompt: all, unless the request ended before
  int64_t reused_tokens = 0;  // of these, taken from KV already there
  int64_t generated_tokens = 0;
  int64_t preemptions = 0;
  int64_t drafted_tokens = 0;   // guessed ahead and computed
  int64_t accepted_tokens = 0;  // of these, those that were what would have been generated anyway
  double queue_us = 0.0;        // submit to first step
  double prefill_us = 0.0;      // first step to the last of read_tokens
  double decode_us = 0.0;       // end of the prompt to the end
  double first_token_us = 0.0;  // submit to first token; 0 if none came
  RoutingStats routing;
};

struct PrefillProgress {
  int64_t done, total;  // prompt tokens
};
struct PromptScore {
  int64_t position;
  int32_t token;
  float logprob;
};
struct GeneratedToken {
  int32_t token;
  bool forced;  // by the controller: not sampled, logprob 0
  float logprob;
  std::vector<TokenLogprob> top;
};
struct Finished {
  StopReason reason;
  std::optional<RequestError> error;  // with kError
  RequestStats stats;
};
using Event = std::variant<PrefillProgress, PromptScore, GeneratedToken, Finished>;

}  // namespace oxidized
