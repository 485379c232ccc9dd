// Real executors under the real engine: what a request gives does not depend on who else runs, in which order
// requests arrive, how prompts are cut, how many threads work, how often it was preempted, or which prefix it
// resumed from.
#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "checkpoint/checkpoint.h"
#include "engine/engine.h"
#include "executor/cpu/cpu_executor.h"
#include "executor/reference/reference_executor.h"

namespace oxidized::test {
namespace {

constexpr int64_t kContext = 256;

struct Setup {
  const char* name;
  std::function<std::unique_ptr<Executor>(const Checkpoint&, const ExecutorLimits&, int threads)> make;
};

void PrintTo(const Setup& setup, std::ostream* out) { *out << setup.name; }

std::function<std::unique_ptr<Executor>(const Checkpoint&, const ExecutorLimits&, int)> Cpu(
    CpuPrecision precision) {
  return [precision](const Checkpoint& checkpoint, const ExecutorLimits& limits, int threads) {
    return MakeCpuExecutor(
        checkpoint.config, checkpoint.weights,
        {.limits = limits, .precision = precision, .threads = threads, .kernels = nullptr});
  };
}

const Setup kSetups[] = {
    {"reference", [](const Checkpoint& checkpoint, const ExecutorLimits& limits,
                     int) { return MakeReferenceExecutor(checkpoint.config, checkpoint.weights, limits); }},
    {"cpu_f32", Cpu(CpuPrecision::kF32)},
    {"cpu_bf16", Cpu(CpuPrecision::kBf16)},
    {"cpu_f16", Cpu(CpuPrecision::kF16)},
};

// Different lengths, seeds, sampling and routing; some begin alike.
std::vector<Request> Requests(int32_t vocab_size) {
  std::vector<Request> requests;
  for (int32_t i = 0; i < 9; ++i) {
    Request request;
    const int32_t salt = i / 3;
    for (int32_t t = 0; t < 20 + 17 * i; ++t) request.prompt.push_back((t * 31 + salt * 7 + 1) % vocab_size);
    request.max_new_tokens = 30 + i;
    request.sampling.seed = static_cast<uint64_t>(i);
    request.sampling.temperature = i % 3 == 0 ? 0.0 : 1.0;
    if (i % 4 == 1) request.sampling.frequency_penalty = 0.7;
    if (i == 5) request.routing.experts_per_token = 1;
    requests.push_back(std::move(request));
  }
  return requests;
}

struct Answer {
  std::vector<int32_t> tokens;
  RequestStats stats;
};

// Of a request that has run to its end.
Answer AnswerOf(Engine& engine, RequestId id) {
  Answer answer;
  for (const Event& event : engine.TakeEvents(id)) {
    if (const auto* token = std::get_if<GeneratedToken>(&event)) {
      answer.tokens.push_back(token->token);
    } else if (const auto* finished = std::get_if<Finished>(&event)) {
      EXPECT_EQ(finished->reason, StopReason::kLength);
      answer.stats = finished->stats;
    }
  }
  return answer;
}

class EngineInvariance : public ::testing::TestWithParam<Setup> {};

TEST_P(EngineInvariance, ARequestGivesItsOwnTokensInAnyCompany) {
  const Checkpoint checkpoint = OpenCheckpoint(std::string(GOLDEN_MODELS) + "/base/mxfp4");
  const std::vector<Request> requests = Requests(checkpoint.config.vocab_size);

  std::vector<std::vector<int32_t>> alone;
  for (const Request& request : requests) {
    const auto executor = GetParam().make(checkpoint, {.max_context = kContext}, 1);
    Engine engine(*executor);
    const RequestId id = *engine.Submit(request);
    while (engine.Step()) {
    }
    alone.push_back(AnswerOf(engine, id).tokens);
    ASSERT_EQ(static_cast<int64_t>(alone.back().size()), request.max_new_tokens);
  }

  struct Company {
    int32_t sequences, step_tokens, chunk, threads;
    int64_t kv_tokens;
    bool backwards, staggered;
  };
  int64_t preemptions = 0, reused = 0;
  for (const Company& c : {Company{4, 64, 7, 2, 1024, false, false}, Company{9, 200, 0, 3, 640, true, false},
                           Company{3, 16, 0, 1, 256, false, true}}) {
    ExecutorLimits limits;
    limits.max_context = kContext;
    limits.max_sequences = c.sequences;
    limits.max_step_tokens = c.step_tokens;
    limits.kv_tokens = c.kv_tokens;
    const auto executor = GetParam().make(checkpoint, limits, c.threads);
    Engine engine(*executor, {.chunk_tokens = c.chunk});
    std::map<size_t, RequestId> ids;
    for (size_t n = 0; n < requests.size(); ++n) {
      const size_t i = c.backwards ? requests.size() - 1 - n : n;
      ids[i] = *engine.Submit(requests[i]);
      for (int step = 0; c.staggered && step < 5; ++step) engine.Step();
    }
    while (engine.Step()) ASSERT_TRUE(engine.Intact());
    for (const auto& [i, id] : ids) {
      const Answer answer = AnswerOf(engine, id);
      preemptions += answer.stats.preemptions;
      reused += answer.stats.reused_tokens;
      EXPECT_EQ(answer.tokens, alone[i]) << "request " << i << " with " << c.sequences << " sequences";
    }
  }
  EXPECT_GT(preemptions, 0) << "the memory was meant to be short";
  EXPECT_GT(reused, 0) << "some requests begin alike";
}

INSTANTIATE_TEST_SUITE_P(Executors, EngineInvariance, ::testing::ValuesIn(kSetups),
                         [](const auto& param_info) { return std::string(param_info.param.name); });

}  // namespace
}  // namespace oxidized::test
