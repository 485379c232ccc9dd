#include "bench/engine.h"

#include <algorithm>

#include "base/error.h"
#include "bench/run_watch.h"
#include "kv/block_pool.h"

namespace oxidized {
namespace {

// Streams of random tokens: prompts that stay the same from run to run, prompts of one sample, decoded
// tokens.
constexpr uint64_t kKeptStream = uint64_t{1} << 32, kFreshStream = uint64_t{2} << 32,
                   kDecodeStream = uint64_t{3} << 32;
constexpr int64_t kUntimedSteps = 2, kWarmUpSteps = 4, kWarmUpPrompt = 512;  // a step

BenchEngine::Result ResultOf(Sample sample, StageTotals stages) {
  for (const StageCost& stage : stages.stages) {
    sample.bytes += static_cast<double>(stage.bytes);
    sample.flops += static_cast<double>(stage.flops);
  }
  return {sample, std::move(stages)};
}

}  // namespace

int64_t BenchEngine::KvTokens(const BenchTest& test) {
  return test.sequences * (BlocksFor(test.positions() + kUntimedSteps) + 1) * kKvBlockTokens;
}

std::string BenchEngine::Lacks(const BenchTest& test) const {
  const ExecutorInfo& info = requests_.info();
  // Sequences whose prompts were ready first decode while the others' are read: at worst a token for each
  // step.
  const int64_t meanwhile = test.sequences > 1 ? test.sequences * test.depth : 0;
  const int64_t positions = test.positions() + kUntimedSteps + 1 + meanwhile;
  if (positions > info.max_context)
    return fmt::format("needs a context of {} tokens, there are {}", positions, info.max_context);
  if (test.sequences > info.max_sequences)
    return fmt::format("needs {} sequences, there are {}", test.sequences, info.max_sequences);
  for (size_t g = 0; g < info.kv_windows.size(); ++g) {
    const int64_t room = info.kv_blocks[g] * kKvBlockTokens;
    if (info.kv_windows[g] == 0 && KvTokens(test) > room)
      return fmt::format("needs KV memory for {} tokens, there is room for {}", KvTokens(test), room);
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
  std::vector<int32_t> prompt = requests_.RandomTokens(kKeptStream, test.depth);
  if (test.depth > 0) requests_.Run(requests_.Make(prompt, 0));
  const auto fresh = requests_.RandomTokens(kFreshStream + prompts_++, test.tokens);
  prompt.insert(prompt.end(), fresh.begin(), fresh.end());
  Request request = requests_.Make(std::move(prompt), 1);
  request.controller = requests_.RandomAnswer(kDecodeStream);

  const BenchTotals before = requests_.Totals();
  const RunWatch watch;
  const RequestStats stats = requests_.Run(std::move(request)).stats;
  Sample sample{.seconds = stats.first_token_us / 1e6};
  watch.NoteIn(sample);
  // A chunk of one token, which may be the last one or all of the prompt, is a step like those of decoding.
  const BenchTotals timed = requests_.Totals() - before;
  StageTotals stages = timed.prefill;
  stages.Add(timed.decode);
  const auto computed = static_cast<double>(stats.prompt_tokens - stats.reused_tokens);
  sample.value = test.kind == BenchTest::Kind::kFirstToken ? sample.seconds * 1e3 : computed / sample.seconds;
  return ResultOf(sample, std::move(stages));
}

BenchEngine::Result BenchEngine::Decode(const BenchTest& test, int64_t steps) {
  std::vector<std::vector<int32_t>> prompts;
  for (uint64_t s = 0; s < static_cast<uint64_t>(test.sequences); ++s)
    prompts.push_back(requests_.RandomTokens(kKeptStream + s, std::max<int64_t>(1, test.depth)));
  BenchRequests::Decoding decoding =
      requests_.Decode(std::move(prompts), kDecodeStream, kUntimedSteps, steps);
  if (!decoding.complete) {
    Fail(ErrorKind::kContextFull, "bench: {}: a sequence ended ({}) before the test did", test.name,
         Name(decoding.reason));
  }
  if (!decoding.together)
    Fail(ErrorKind::kNoMemory, "bench: {}: the sequences do not fit into KV memory together", test.name);
  decoding.sample.value = static_cast<double>(steps * test.sequences) / decoding.sample.seconds;
  return ResultOf(decoding.sample, std::move(decoding.totals));
}

}  // namespace oxidized
