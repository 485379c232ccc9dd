#include "executor/testing/conformance/context.h"

#include <cmath>
#include <map>

#include "base/error.h"
#include "base/rng.h"
#include "executor/reference/reference_executor.h"
#include "sampling/sampler.h"

namespace oxidized::conformance {

OpenedExecutor Context::Open(const Model& model, const ExecutorLimits& limits) {
  try {
    return subject_.open(model.config, model.weights, limits);
  } catch (const Error& error) {
    const bool refusal = error.kind() == ErrorKind::kUnsupported || error.kind() == ErrorKind::kUsage;
    if (!refusal || !model.optional) throw;
    refused.push_back(model.name + ": " + error.what());
    return {};
  }
}

void Context::ForNarrowModels(const std::function<void(const Model&, Executor&)>& body,
                              const ExecutorLimits& limits) {
  for (const Model& model : NarrowModels(brief())) {
    findings.At(model.name);
    const OpenedExecutor opened = Open(model, limits);
    if (opened.executor != nullptr) body(model, *opened);
  }
  findings.At("");
}

void Context::ExpectSame(Executor& executor, const Sequence& actual, const Sequence& expected,
                         const std::string& what) {
  if (executor.Info().batch_invariant) return ExpectSameBits(actual, expected, what, findings);
  // Other orders of summation, as a router that is not a near-tie lets through.
  Sequence common;
  for (const auto& [position, row] : expected.logits) {
    if (actual.logits.contains(position)) common.logits[position] = row;
  }
  findings.Expect(!common.logits.empty(), "{}: no logits in common", what);
  findings.Expect(MeanKl(common, actual) < 1e-3, "{}: a mean KL of {}", what, MeanKl(common, actual));
}

std::vector<int32_t> Prompt(uint64_t seed, int64_t n, int32_t vocab_size) {
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < n; ++i) {
    tokens.push_back(static_cast<int32_t>(RandomBits(seed, 3, static_cast<uint64_t>(i))[0] %
                                          static_cast<uint32_t>(vocab_size)));
  }
  return tokens;
}

std::vector<int32_t> Slice(const std::vector<int32_t>& tokens, int64_t begin, int64_t end) {
  return {tokens.begin() + static_cast<ptrdiff_t>(begin), tokens.begin() + static_cast<ptrdiff_t>(end)};
}

std::vector<std::vector<int32_t>> RaggedPrompts(int32_t vocab_size) {
  return {Prompt(1, 150, vocab_size), Prompt(2, 70, vocab_size), Prompt(3, 9, vocab_size)};
}

void FeedRagged(Driver& driver) {
  const auto prompts = RaggedPrompts(driver.info().vocab_size);
  for (size_t i = 0; i < prompts.size(); ++i) driver.Add();
  // 99, 34, 42, 53 and 1 rows: every remainder of 4 and 6.
  constexpr int64_t kRows[][3] = {{64, 35, 0}, {1, 28, 5}, {40, 1, 1}, {44, 6, 3}, {1, 0, 0}};
  for (const auto& rows : kRows) {
    std::vector<Piece> pieces;
    for (int32_t s = 0; s < 3; ++s) {
      if (rows[s] == 0) continue;
      const int64_t begin = driver[s].end();
      pieces.push_back({.sequence = s,
                        .tokens = Slice(prompts[static_cast<size_t>(s)], begin, begin + rows[s]),
                        .wants = {{}}});
    }
    driver.Step(pieces);
  }
}

const std::vector<Sequence>& ReferenceRun(const std::string& key, const Model& model,
                                          const ExecutorLimits& limits, Show show, size_t sequences,
                                          const std::function<void(Driver&)>& script) {
  static std::map<std::string, std::vector<Sequence>> runs;
  const auto [run, fresh] = runs.try_emplace(key + " of " + model.name);
  if (fresh) {
    const auto executor = MakeReferenceExecutor(model.config, model.weights, limits);
    Findings findings;
    Driver driver(*executor, findings, show);
    script(driver);
    for (size_t i = 0; i < sequences; ++i) run->second.push_back(driver[static_cast<int32_t>(i)]);
    if (findings.count() > 0) Fail(ErrorKind::kInternal, "the reference: {}", findings.messages().front());
  }
  return run->second;
}

SampledToken ExpectedSample(std::span<const float> logits, const Want& want, const TokenMask* mask,
                            const TokenHistory* history, int64_t position) {
  Sampler sampler;
  SampledToken expected;
  sampler.Sample(logits, want.draw ? want.params : SamplingParams{.temperature = 0.0}, mask, history,
                 position, want.top_logprobs, want.score_token, expected);
  return expected;
}

void ExpectSample(const SampledToken& actual, const SampledToken& expected, const Want& want,
                  const std::string& what, Findings& findings) {
  if (!findings.Expect(actual.finite && !actual.empty_mask, "{}: the sample is said to be void", what))
    return;
  if (want.draw)
    findings.Expect(actual.token == expected.token, "{}: token {}, expected {}", what, actual.token,
                    expected.token);
  // Twice what each side may err (docs/numerics.md).
  const auto close = [](float a, float b) { return std::fabs(a - b) <= 0x1p-19f * (8.0f + std::fabs(b)); };
  if (want.draw && want.top_logprobs >= 0)
    findings.Expect(close(actual.logprob, expected.logprob), "{}: log-probability {}, expected {}", what,
                    actual.logprob, expected.logprob);
  if (want.score_token >= 0)
    findings.Expect(close(actual.score, expected.score), "{}: score {}, expected {}", what, actual.score,
                    expected.score);
  const size_t count = want.top_logprobs > 0 ? expected.top.size() : 0;
  if (!findings.Expect(actual.top.size() == count, "{}: {} most likely tokens, expected {}", what,
                       actual.top.size(), count))
    return;
  for (size_t i = 0; i < count; ++i) {
    if (!findings.Expect(actual.top[i].token == expected.top[i].token &&
                             close(actual.top[i].logprob, expected.top[i].logprob),
                         "{}: most likely token {} is {} at {}, expected {} at {}", what, i,
                         actual.top[i].token, actual.top[i].logprob, expected.top[i].token,
                         expected.top[i].logprob))
      return;
  }
}

}  // namespace oxidized::conformance
