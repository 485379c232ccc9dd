// Real executors under the real engine: what a request gives does not depend on who else runs, in which order
// requests arrive, how prompts are cut, how many threads work, how often it was preempted, which prefix it
// resumed from, what was guessed ahead, or whether one step ran at a time or two.
#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "checkpoint/checkpoint.h"
#include "checkpoint/packed_file.h"
#include "engine/engine.h"
#include "executor/cpu/cpu_executor.h"
#include "executor/reference/reference_executor.h"
#include "executor/testing/queued_executor.h"
#include "moe/routing_collector.h"
#include "rewrite/packed_file_writer.h"
#include "rewrite/testing/checkpoint_test_util.h"

namespace oxidized::test {
namespace {

constexpr int64_t kContext = 256;

struct Setup {
  const char* name;
  std::function<std::unique_ptr<Executor>(Checkpoint&, const ExecutorLimits&, int threads)> make;
};

void PrintTo(const Setup& setup, std::ostream* out) { *out << setup.name; }

enum class Dense : uint8_t { kStored, kPacked, kOfPackedFile };

std::shared_ptr<const PackedDense> Pack(Dense dense, Checkpoint& checkpoint) {
  if (dense == Dense::kStored) return nullptr;
  ThreadTeam team(2);
  if (dense == Dense::kPacked)
    return std::make_shared<const PackedDense>(checkpoint.weights, team, PackedDense::Progress());
  const testing::TempFolder folder;
  WritePackedFile({.in = checkpoint.path, .out = folder.path() / "packed"});
  return OpenPackedFile(folder.path() / "packed", checkpoint, PackedFileCheck::kValues, team);
}

std::function<std::unique_ptr<Executor>(Checkpoint&, const ExecutorLimits&, int)> Cpu(
    CpuPrecision precision, CpuActivationType activations = CpuActivationType::kAsPrecision,
    Dense dense = Dense::kStored) {
  return [=](Checkpoint& checkpoint, const ExecutorLimits& limits, int threads) {
    CpuExecutorOptions options;
    options.limits = limits;
    options.precision = precision;
    options.activations = activations;
    options.packed = Pack(dense, checkpoint);
    options.threads = threads;
    return MakeCpuExecutor(checkpoint.config, checkpoint.weights, options);
  };
}

// The same with two steps in flight: calls are carried out in order on a thread of their own.
Setup Queued(const char* name, const Setup& one) {
  return {name, [one](Checkpoint& checkpoint, const ExecutorLimits& limits, int threads) {
            return std::make_unique<QueuedExecutor>(one.make(checkpoint, limits, threads));
          }};
}

const Setup kReference = {"reference", [](Checkpoint& checkpoint, const ExecutorLimits& limits, int) {
                            return MakeReferenceExecutor(checkpoint.config, checkpoint.weights, limits);
                          }};

const Setup kSetups[] = {
    kReference,
    Queued("reference_two_steps", kReference),
    {"cpu_f32", Cpu(CpuPrecision::kF32)},
    {"cpu_bf16", Cpu(CpuPrecision::kBf16)},
    Queued("cpu_bf16_two_steps", {"", Cpu(CpuPrecision::kBf16)}),
    {"cpu_f16", Cpu(CpuPrecision::kF16)},
    {"cpu_int8", Cpu(CpuPrecision::kBf16, CpuActivationType::kInt8)},
    {"cpu_packed", Cpu(CpuPrecision::kBf16, CpuActivationType::kAsPrecision, Dense::kPacked)},
    {"cpu_packed_file", Cpu(CpuPrecision::kBf16, CpuActivationType::kAsPrecision, Dense::kOfPackedFile)},
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
  Checkpoint checkpoint = OpenCheckpoint(std::string(GOLDEN_MODELS) + "/base/mxfp4");
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

// Notes the rows it is shown, and whether they came as they must.
class RowLog final : public RoutingObserver {
 public:
  void OnRows(const ObservedRows& rows) override {
    ASSERT_EQ(rows.first_position, static_cast<int64_t>(tokens.size())) << "each position once, in order";
    ASSERT_EQ(rows.logits.size(), rows.layers.size());
    tokens.insert(tokens.end(), rows.tokens.begin(), rows.tokens.end());
    if (rows.phase == RoutingPhase::kPrefill) prefill += static_cast<int64_t>(rows.tokens.size());
    stats.Add(rows);
  }
  std::vector<int32_t> tokens;
  int64_t prefill = 0;
  RoutingStats stats;
};

// Watched and unwatched requests in one engine short of memory: the same tokens, and the watcher sees the
// rows of its own request once each, however they were cut, preempted and mixed.
TEST_P(EngineInvariance, WatchingRoutingChangesNothing) {
  Checkpoint checkpoint = OpenCheckpoint(std::string(GOLDEN_MODELS) + "/base/mxfp4");
  const ModelConfig& config = checkpoint.config;
  std::vector<Answer> plain;
  for (const bool watched : {false, true}) {
    ExecutorLimits limits;
    limits.max_context = kContext;
    limits.max_sequences = 4;
    limits.max_step_tokens = 64;
    limits.kv_tokens = 512;
    const auto executor = GetParam().make(checkpoint, limits, 2);
    Engine engine(*executor, {.chunk_tokens = 9});
    std::vector<RequestId> ids;
    std::vector<Request> requests = Requests(config.vocab_size);
    requests.resize(5);
    std::vector<RowLog> logs(requests.size());
    for (size_t i = 0; i < requests.size(); ++i) {
      Request& request = requests[i];
      request.prompt[0] = static_cast<int32_t>(i);  // nothing to share: every row is computed
      logs[i].stats = RoutingStats::Detailed(
          ShapeOf(request.routing, config.num_layers, config.num_experts, config.experts_per_token));
      if (watched && i % 2 == 0) request.routing_observers.push_back(&logs[i]);
      ids.push_back(*engine.Submit(request));
    }
    while (engine.Step()) {
    }
    for (size_t i = 0; i < requests.size(); ++i) {
      const Answer answer = AnswerOf(engine, ids[i]);
      if (!watched) {
        plain.push_back(answer);
        continue;
      }
      EXPECT_EQ(answer.tokens, plain[i].tokens);
      if (i % 2 != 0) continue;
      const auto prompt = static_cast<int64_t>(requests[i].prompt.size());
      EXPECT_EQ(logs[i].prefill, prompt);
      EXPECT_EQ(static_cast<int64_t>(logs[i].tokens.size()), prompt + requests[i].max_new_tokens - 1);
      const std::vector<LayerRouting> seen = logs[i].stats.layers(),
                                      counted = plain[i].stats.routing.layers();
      for (size_t l = 0; l < seen.size(); ++l) {
        EXPECT_EQ(seen[l].counts, counted[l].counts);
        EXPECT_EQ(seen[l].router.tokens, seen[l].tokens);
      }
    }
  }
}

// Prompts that repeat themselves, and any match good for a guess: many wrong guesses and some right ones.
// Tokens and log-probabilities are the same bit for bit, and so are routing counts: rows of wrong guesses do
// not count.
TEST_P(EngineInvariance, GuessingAheadChangesNothing) {
  Checkpoint checkpoint = OpenCheckpoint(std::string(GOLDEN_MODELS) + "/base/mxfp4");
  const auto few = std::make_shared<TokenMask>(checkpoint.config.vocab_size, false);
  for (int32_t id = 3; id < 7; ++id) few->Set(id, true);  // a text of four words: guesses come true
  std::vector<Request> requests = Requests(checkpoint.config.vocab_size);
  for (size_t i = 0; i < requests.size(); ++i) {
    Request& request = requests[i];
    for (size_t t = 12; t < request.prompt.size(); ++t) request.prompt[t] = request.prompt[t - 9];
    request.max_new_tokens = 50;
    request.top_logprobs = 3;
    if (i % 2 == 0) request.mask = few;
    if (i % 3 == 1) request.sampling.temperature = 0.3;
    if (i % 3 == 2) request.sampling.top_k = 3;
  }
  struct Said {
    std::vector<int32_t> tokens;
    std::vector<float> logprobs;
    std::vector<std::vector<std::pair<int32_t, float>>> top;
    RequestStats stats;
  };
  const auto run = [&](const SpeculationOptions& speculation, int32_t sequences, int64_t kv_tokens,
                       int threads) {
    ExecutorLimits limits;
    limits.max_context = kContext;
    limits.max_sequences = sequences;
    limits.max_step_tokens = 64;
    limits.kv_tokens = kv_tokens;
    const auto executor = GetParam().make(checkpoint, limits, threads);
    Engine engine(*executor, {.chunk_tokens = 23, .speculation = speculation});
    std::vector<RequestId> ids;
    for (const Request& request : requests) ids.push_back(*engine.Submit(request));
    while (engine.Step()) EXPECT_TRUE(engine.Intact());
    std::vector<Said> all;
    for (const RequestId id : ids) {
      Said& said = all.emplace_back();
      for (const Event& event : engine.TakeEvents(id)) {
        if (const auto* token = std::get_if<GeneratedToken>(&event)) {
          said.tokens.push_back(token->token);
          said.logprobs.push_back(token->logprob);
          auto& top = said.top.emplace_back();
          for (const TokenLogprob& t : token->top) top.emplace_back(t.token, t.logprob);
        } else if (const auto* finished = std::get_if<Finished>(&event)) {
          said.stats = finished->stats;
        }
      }
    }
    return all;
  };
  const std::vector<Said> plain = run({}, 1, kContext, 1);
  int64_t wrong = 0, right = 0, preemptions = 0;
  struct Case {
    int32_t drafts, sequences;
    int64_t kv_tokens;
    int threads;
  };
  for (const Case& c :
       {Case{1, 1, kContext, 1}, Case{6, 1, kContext, 2}, Case{15, 4, 512, 2}, Case{3, 9, 512, 1}}) {
    SpeculationOptions speculation = SpeculationOptions::Fixed(c.drafts);
    speculation.min_match = 1;
    const std::vector<Said> guessed = run(speculation, c.sequences, c.kv_tokens, c.threads);
    for (size_t i = 0; i < plain.size(); ++i) {
      SCOPED_TRACE(fmt::format("request {}, {} guesses, {} sequences", i, c.drafts, c.sequences));
      EXPECT_EQ(guessed[i].tokens, plain[i].tokens);
      EXPECT_EQ(guessed[i].logprobs, plain[i].logprobs);
      EXPECT_EQ(guessed[i].top, plain[i].top);
      // Only requests alone in their engine resume the same prefixes, so only theirs compute the same rows.
      const auto counted = guessed[i].stats.routing.layers(), expected = plain[i].stats.routing.layers();
      for (size_t l = 0; l < counted.size() && c.sequences == 1; ++l)
        EXPECT_EQ(counted[l].counts, expected[l].counts);
      right += guessed[i].stats.accepted_tokens;
      wrong += guessed[i].stats.drafted_tokens - guessed[i].stats.accepted_tokens;
      preemptions += guessed[i].stats.preemptions;
      if (requests[i].sampling.needs_history()) {
        EXPECT_EQ(guessed[i].stats.drafted_tokens, 0);
      }
    }
  }
  RecordProperty("right", static_cast<int>(right));
  RecordProperty("wrong", static_cast<int>(wrong));
  EXPECT_GT(right, 100);
  EXPECT_GT(wrong, 100);
  EXPECT_GT(preemptions, 0);
}

INSTANTIATE_TEST_SUITE_P(Executors, EngineInvariance, ::testing::ValuesIn(kSetups),
                         [](const auto& param_info) { return std::string(param_info.param.name); });

}  // namespace
}  // namespace oxidized::test
