// Samples of the tests that run the model: through Engine, as an answer does, with random tokens.
#pragma once

#include <memory>

#include "bench/bench_tests.h"
#include "bench/figure.h"
#include "engine/engine.h"

namespace oxidized::cli {

class BenchEngine {
 public:
  // `engine` must outlive this.
  BenchEngine(Engine& engine, uint64_t seed) : engine_(engine), seed_(seed) {}

  // What the engine lacks for this test, for people; "" if nothing.
  std::string Lacks(const BenchTest& test) const;

  struct Result {
    Sample sample;
    StageTotals stages;  // of the timed steps
  };
  // Prompts that a test needs to be there already are computed by its first run and reused by the others, as
  // long as the prefix cache keeps them; what is timed is never computed from anything kept. Throws Error,
  // Interrupted.
  Result Run(const BenchTest& test);
  // The same in short, the prompts too, so that memory, caches and threads are warm: its time means nothing.
  void WarmUp(const BenchTest& test);

 private:
  Result Prompt(const BenchTest& test);
  Result Decode(const BenchTest& test, int64_t steps);
  Request MakeRequest(std::vector<int32_t> prompt, int64_t new_tokens) const;
  std::vector<int32_t> RandomTokens(uint64_t stream, int64_t count) const;
  Finished RunToEnd(Request request);
  RequestId Submit(Request request);

  Engine& engine_;
  uint64_t seed_;
  uint64_t prompts_ = 0;  // timed so far: each gets tokens of its own
};

}  // namespace oxidized::cli
