// The one way in which measuring runs a model: requests through an EngineLoop, as an answer does, with random
// tokens. What is timed is the engine's own clock, on its thread: handing a request over and waking the
// reader are not in it. Used by engine.h (`bench`'s tests) and by the sections of `bench moe`.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "bench/figure.h"
#include "engine/engine_loop.h"

namespace oxidized {

// Sums of an engine since it began, or of a part of that.
struct BenchTotals {
  StageTotals prefill, decode;
  BenchTotals operator-(const BenchTotals& before) const;
};

class BenchRequests {
 public:
  // `loop` must outlive this; nobody else submits to it meanwhile.
  BenchRequests(EngineLoop& loop, uint64_t seed) : loop_(loop), seed_(seed) {}

  const ExecutorInfo& info() const { return loop_.info(); }

  // Greedy, with `count` random tokens of this stream as the prompt: the same for the same seed and stream.
  Request Make(std::vector<int32_t> prompt, int64_t new_tokens) const;
  std::vector<int32_t> RandomTokens(uint64_t stream, int64_t count) const;
  // Whatever the model says, the tokens of the answer are random ones of `stream`, since greedy answers to
  // random prompts repeat themselves and would use the same few experts again and again. The sampler runs
  // over the whole row all the same.
  std::shared_ptr<TokenController> RandomAnswer(uint64_t stream) const;

  // Runs it to its end. Throws Error where it is refused or fails, Interrupted.
  Finished Run(Request request);

  // Runs requests of so many random prompts together, answer s of stream `answers` + s. The timed part are
  // `steps` steps in which each request adds a token, after all have begun to answer and `untimed` more have
  // gone.
  struct Decoding {
    Sample sample;       // seconds and what disturbed it; nothing of what was counted
    StageTotals totals;  // of the timed steps
    bool complete = false;
    bool together = false;  // every timed step had a row of every request
    StopReason reason =
        StopReason::kController;  // of one that ended although the timed part was not complete
  };
  Decoding Decode(std::vector<std::vector<int32_t>> prompts, uint64_t answers, int64_t untimed,
                  int64_t steps);

  // Between two steps; exact while nothing runs.
  BenchTotals Totals();

 private:
  Stream Submit(Request request);
  Finished Await(Stream& stream);

  EngineLoop& loop_;
  const uint64_t seed_;
};

}  // namespace oxidized
