#include "bench/bench_engine.h"

#include <algorithm>
#include <chrono>
#include <set>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/rng.h"
#include "bench/run_watch.h"
#include "kv/block_pool.h"

namespace oxidized::cli {
namespace {

using Clock = std::chrono::steady_clock;
double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Streams of random tokens: prompts that stay the same from run to run, prompts of one sample, decoded
// tokens.
constexpr uint64_t kKeptStream = uint64_t{1} << 32, kFreshStream = uint64_t{2} << 32,
                   kDecodeStream = uint64_t{3} << 32;
constexpr int64_t kUntimedSteps = 2, kWarmUpSteps = 4, kWarmUpPrompt = 512;  // a step

StageTotals Difference(const StageTotals& after, const StageTotals& before) {
  StageTotals d = after;
  d.steps -= before.steps;
  d.rows -= before.rows;
  for (size_t i = 0; i < before.stages.size(); ++i) {
    d.stages[i].microseconds -= before.stages[i].microseconds;
    d.stages[i].bytes -= before.stages[i].bytes;
    d.stages[i].flops -= before.stages[i].flops;
  }
  return d;
}

// A fresh random token each time, whatever the model says: greedy answers to random prompts repeat
// themselves, and would use the same few experts again and again. The sampler runs over the whole row all the
// same.
class OneRandomToken final : public TokenController {
 public:
  OneRandomToken(int32_t vocab_size, uint64_t seed, uint64_t stream)
      : mask_(vocab_size, false), seed_(seed), stream_(stream) {
    Draw();
  }
  Verdict OnToken(int32_t) override {
    mask_.Set(token_, false);
    Draw();
    return {};
  }
  const TokenMask* NextMask() override { return &mask_; }

 private:
  void Draw() {
    token_ =
        static_cast<int32_t>(RandomBits(seed_, stream_, drawn_++)[0] % static_cast<uint32_t>(mask_.size()));
    mask_.Set(token_, true);
  }
  TokenMask mask_;
  uint64_t seed_, stream_, drawn_ = 0;
  int32_t token_ = 0;
};

Sample SampleOf(double seconds, const StageTotals& stages, const RunWatch& watch) {
  Sample sample{.seconds = seconds};
  watch.NoteIn(sample);
  for (const StageCost& stage : stages.stages) {
    sample.bytes += static_cast<double>(stage.bytes);
    sample.flops += static_cast<double>(stage.flops);
  }
  return sample;
}

}  // namespace

std::string BenchEngine::Lacks(const BenchTest& test) const {
  const ExecutorInfo& info = engine_.info();
  // Sequences whose prompts were ready first decode while the others' are read: at worst a token for each
  // step.
  const int64_t meanwhile = test.sequences > 1 ? test.sequences * test.depth : 0;
  const int64_t positions = test.positions() + kUntimedSteps + 1 + meanwhile;
  if (positions > info.max_context)
    return fmt::format("needs a context of {} tokens, there are {}", positions, info.max_context);
  if (test.sequences > info.max_sequences)
    return fmt::format("needs {} sequences, there are {}", test.sequences, info.max_sequences);
  for (size_t g = 0; g < info.kv_windows.size(); ++g) {
    const int64_t blocks = test.sequences * (BlocksFor(test.positions() + kUntimedSteps) + 1);
    if (info.kv_windows[g] == 0 && blocks > info.kv_blocks[g])
      return fmt::format("needs KV memory for {} tokens, there is room for {}", blocks * kKvBlockTokens,
                         info.kv_blocks[g] * kKvBlockTokens);
  }
  return "";
}

BenchEngine::Result BenchEngine::Run(const BenchTest& test) {
  return test.kind == BenchTest::Kind::kDecode ? Decode(test, test.tokens) : Prompt(test);
}

void BenchEngine::WarmUp(const BenchTest& test) {
  BenchTest shorter = test;
  // What comes before the timed part warms up as well, in the first run.
  shorter.depth = std::min(test.depth, kWarmUpPrompt);
  if (test.kind == BenchTest::Kind::kDecode) {
    Decode(shorter, std::min(test.tokens, kWarmUpSteps));
  } else {
    shorter.tokens = std::min(test.tokens, kWarmUpPrompt);
    Prompt(shorter);
  }
}

BenchEngine::Result BenchEngine::Prompt(const BenchTest& test) {
  std::vector<int32_t> prompt = RandomTokens(kKeptStream, test.depth);
  if (test.depth > 0) RunToEnd(MakeRequest(prompt, 0));
  const auto fresh = RandomTokens(kFreshStream + prompts_++, test.tokens);
  prompt.insert(prompt.end(), fresh.begin(), fresh.end());
  Request request = MakeRequest(std::move(prompt), 1);
  request.controller = std::make_shared<OneRandomToken>(engine_.info().vocab_size, seed_, kDecodeStream);

  const StageTotals prefill = engine_.prefill_totals(), decode = engine_.decode_totals();
  const RunWatch watch;
  const auto start = Clock::now();
  const Finished finished = RunToEnd(std::move(request));
  const double seconds = SecondsSince(start);
  // A chunk of one token, which may be the last one or all of the prompt, is a step like those of decoding.
  Result result{{}, Difference(engine_.prefill_totals(), prefill)};
  result.stages.Add(Difference(engine_.decode_totals(), decode));
  result.sample = SampleOf(seconds, result.stages, watch);
  const auto computed = static_cast<double>(finished.stats.prompt_tokens - finished.stats.reused_tokens);
  result.sample.value = test.kind == BenchTest::Kind::kFirstToken ? seconds * 1e3 : computed / seconds;
  return result;
}

BenchEngine::Result BenchEngine::Decode(const BenchTest& test, int64_t steps) {
  const auto sequences = static_cast<uint64_t>(test.sequences);
  std::vector<RequestId> ids;
  for (uint64_t s = 0; s < sequences; ++s) {
    Request request = MakeRequest(RandomTokens(kKeptStream + s, std::max<int64_t>(1, test.depth)),
                                  engine_.info().max_context);
    request.controller =
        std::make_shared<OneRandomToken>(engine_.info().vocab_size, seed_, kDecodeStream + s);
    ids.push_back(Submit(std::move(request)));
  }
  std::set<RequestId> answering;  // have begun to
  // True for a step in which every sequence added a token.
  const auto step = [&] {
    ThrowIfInterrupted();
    const StageTotals& totals = engine_.decode_totals();
    const int64_t steps_before = totals.steps, rows_before = totals.rows;
    engine_.Step();
    for (const RequestId id : ids) {
      for (const Event& event : engine_.TakeEvents(id)) {
        if (std::holds_alternative<GeneratedToken>(event)) answering.insert(id);
        const auto* finished = std::get_if<Finished>(&event);
        if (finished == nullptr) continue;
        if (finished->error) throw Error(finished->error->kind, finished->error->message);
        Fail(ErrorKind::kContextFull, "bench: {}: a sequence ended ({}) before the test did", test.name,
             Name(finished->reason));
      }
    }
    return totals.steps == steps_before + 1 && totals.rows == rows_before + test.sequences;
  };
  while (answering.size() < ids.size()) step();
  for (int64_t i = 0; i < kUntimedSteps; ++i) step();

  const StageTotals before = engine_.decode_totals();
  const RunWatch watch;
  const auto start = Clock::now();
  for (int64_t done = 0; done < steps; ++done) {
    if (!step())
      Fail(ErrorKind::kNoMemory, "bench: {}: the sequences do not fit into KV memory together", test.name);
  }
  const double seconds = SecondsSince(start);
  Result result{{}, Difference(engine_.decode_totals(), before)};
  result.sample = SampleOf(seconds, result.stages, watch);
  result.sample.value = static_cast<double>(steps * test.sequences) / seconds;
  for (const RequestId id : ids) {
    engine_.Cancel(id);
    engine_.TakeEvents(id);
  }
  return result;
}

Request BenchEngine::MakeRequest(std::vector<int32_t> prompt, int64_t new_tokens) const {
  Request request;
  request.prompt = std::move(prompt);
  request.max_new_tokens = new_tokens;
  request.sampling.temperature = 0.0;
  return request;
}

std::vector<int32_t> BenchEngine::RandomTokens(uint64_t stream, int64_t count) const {
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t bits = RandomBits(seed_, stream, static_cast<uint64_t>(i))[0];
    tokens.push_back(static_cast<int32_t>(bits % static_cast<uint32_t>(engine_.info().vocab_size)));
  }
  return tokens;
}

RequestId BenchEngine::Submit(Request request) {
  const auto id = engine_.Submit(std::move(request));
  if (!id) throw Error(id.error().kind, id.error().message);
  return *id;
}

Finished BenchEngine::RunToEnd(Request request) {
  const RequestId id = Submit(std::move(request));
  for (;;) {
    ThrowIfInterrupted();
    engine_.Step();
    for (Event& event : engine_.TakeEvents(id)) {
      auto* finished = std::get_if<Finished>(&event);
      if (finished == nullptr) continue;
      if (finished->error) throw Error(finished->error->kind, finished->error->message);
      return std::move(*finished);
    }
  }
}

}  // namespace oxidized::cli
