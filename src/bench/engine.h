// Samples of the tests that run the model, with random tokens: what is computed before the timed part, what
// is timed, and what the test wants of the engine.
#pragma once

#include <string>

#include "bench/requests.h"
#include "bench/tests.h"

namespace oxidized {

class BenchEngine {
 public:
  // `loop` must outlive this.
  BenchEngine(EngineLoop& loop, uint64_t seed) : requests_(loop, seed) {}

  // Positions that full attention must keep for this test, over all of its sequences.
  static int64_t KvTokens(const BenchTest& test);
  // What the engine lacks for this test, for people; "" if nothing.
  std::string Lacks(const BenchTest& test) const;

  struct Result {
    Sample sample;
    StageTotals stages;  // of the timed steps
  };
  // Prompts that a test needs to be there already are computed by its first run and reused by the others, as
  // long as the engine keeps them; what is timed is never computed from anything kept. Throws Error,
  // Interrupted.
  Result Run(const BenchTest& test);
  // The same in short, the prompts too, so that memory, caches and threads are warm: its time means nothing.
  void WarmUp(const BenchTest& test);

 private:
  Result Prompt(const BenchTest& test);
  Result Decode(const BenchTest& test, int64_t steps);

  BenchRequests requests_;
  uint64_t prompts_ = 0;  // timed so far: each gets tokens of its own
};

}  // namespace oxidized
