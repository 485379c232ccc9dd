// Numbers: against the reference, against the definition, against transformers' goldens, at the published
// widths.
#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "executor/reference/reference_executor.h"
#include "executor/taps.h"
#include "executor/testing/conformance/context.h"
#include "kv/kv_layout.h"
#include "support/golden_model.h"

namespace oxidized::conformance {
namespace {

constexpr Show kEverything{.logits = true, .taps = true, .router_logits = false};
constexpr size_t kRaggedSequences = 3;

const std::vector<Sequence>& RaggedReference(const Model& model) {
  return ReferenceRun("ragged steps", model, kLimits, kEverything, kRaggedSequences, FeedRagged);
}

void ExpectChoices(const Sequence& actual, const Sequence& expected, Findings& findings) {
  for (const auto& [place, row] : expected.routing) {
    const auto found = actual.routing.find(place);
    const std::vector<int32_t> chosen =
        found == actual.routing.end() ? std::vector<int32_t>{} : found->second.experts;
    if (!findings.Expect(chosen == row.experts, "other experts in layer {} at position {}", place.first,
                         place.second))
      return;
  }
}

void ExpectTokens(const Sequence& actual, const Sequence& expected, Findings& findings) {
  for (size_t i = 0; i < expected.samples.size(); ++i) {
    const int32_t token = i < actual.samples.size() ? actual.samples[i].token : -1;
    if (!findings.Expect(token == expected.samples[i].token, "sample {} is {}, the reference drew {}", i,
                         token, expected.samples[i].token))
      return;
  }
}

// Nats a token against f32 that rounding may cost where every expert stayed the same. Narrow random models
// have wide logits; measured 2e-4 to 5e-3 with bf16.
double MostKl(const ExecutorInfo& info) {
  return !info.activations.empty() ? 4e-2 : info.precision == "f16" ? 1e-3 : 2e-2;
}

// The rows of both runs whose experts are the same in every layer.
Sequence SameExperts(const Sequence& reference, const Sequence& run) {
  Sequence same;
  for (const auto& [position, logits] : reference.logits) {
    bool kept = true;
    for (const auto& [place, row] : reference.routing) {
      if (place.second != position) continue;
      const auto found = run.routing.find(place);
      kept = kept && found != run.routing.end() &&
             std::is_permutation(row.experts.begin(), row.experts.end(), found->second.experts.begin(),
                                 found->second.experts.end());
    }
    if (kept) same.logits[position] = logits;
  }
  return same;
}

}  // namespace

void CheckInfo(Context& context) {
  Findings& findings = context.findings;
  for (const ExecutorLimits& limits :
       {kLimits, ExecutorLimits{.max_context = 64, .max_sequences = 1, .max_step_tokens = 1}}) {
    context.ForNarrowModels(
        [&](const Model& model, Executor& executor) {
          const ExecutorInfo& info = executor.Info();
          const ModelConfig& c = model.config;
          const KvLayout layout(c);
          findings.Expect(!info.name.empty() && !info.device.empty(), "no name or device");
          findings.Expect(info.precision == "f32" || info.precision == "bf16" || info.precision == "f16",
                          "precision {}", info.precision);
          findings.Expect(info.num_layers == c.num_layers && info.num_experts == c.most_experts() &&
                              info.experts_per_token == c.experts_per_token &&
                              info.vocab_size == c.vocab_size,
                          "other layers, experts or ids than the model");
          findings.Expect(info.max_context == limits.max_context &&
                              info.max_sequences >= limits.max_sequences &&
                              info.max_step_tokens >= limits.max_step_tokens,
                          "less context, slots or rows than asked for");
          findings.Expect(info.steps_in_flight == 1 || info.steps_in_flight == 2, "{} steps in flight",
                          info.steps_in_flight);
          if (!findings.Expect(info.kv_windows.size() == layout.groups.size() &&
                                   info.kv_blocks.size() == layout.groups.size(),
                               "{} KV groups, the model has {}", info.kv_windows.size(),
                               layout.groups.size()))
            return;
          for (size_t g = 0; g < layout.groups.size(); ++g) {
            const int32_t window = layout.groups[g].window;
            const int64_t least = window == 0 ? BlocksFor(limits.max_context)
                                              : limits.max_sequences * (BlocksFor(window - 1) + 2) +
                                                    BlocksFor(limits.max_step_tokens);
            findings.Expect(info.kv_windows[g] == window, "group {} has the window {}, expected {}", g,
                            info.kv_windows[g], window);
            findings.Expect(info.kv_blocks[g] >= least, "group {} has {} blocks, needs {}", g,
                            info.kv_blocks[g], least);
          }
        },
        limits);
  }
}

void CheckTaps(Context& context) {
  context.ForNarrowModels([&](const Model& model, Executor& executor) {
    const std::vector<Sequence>& expected = RaggedReference(model);
    Driver driver(executor, context.findings, kEverything);
    FeedRagged(driver);
    for (size_t s = 0; s < expected.size(); ++s) {
      const Sequence& actual = driver[static_cast<int32_t>(s)];
      ExpectCloseTo(actual, expected[s], kEndToEnd, context.findings);
      ExpectChoices(actual, expected[s], context.findings);
      ExpectTokens(actual, expected[s], context.findings);
    }
  });
}

void CheckStages(Context& context) {
  context.ForNarrowModels([&](const Model& model, Executor& executor) {
    Driver driver(executor, context.findings, kEverything);
    FeedRagged(driver);
    for (int32_t s = 0; s < static_cast<int32_t>(kRaggedSequences); ++s)
      ExpectStages(model, executor.Info(), driver[s], {.columns = 96, .moe_rows = 40}, context.findings);
  });
}

void CheckRounding(Context& context) {
  context.ForNarrowModels([&](const Model& model, Executor& executor) {
    const std::vector<Sequence>& reference = RaggedReference(model);
    Driver driver(executor, context.findings);
    FeedRagged(driver);
    double kl = 0.0;
    int64_t rows = 0, all = 0;
    for (size_t s = 0; s < reference.size(); ++s) {
      const Sequence& actual = driver[static_cast<int32_t>(s)];
      const Sequence kept = SameExperts(reference[s], actual);
      const auto count = static_cast<int64_t>(kept.logits.size());
      if (count > 0) kl += MeanKl(kept, actual) * static_cast<double>(count);
      rows += count;
      all += static_cast<int64_t>(reference[s].logits.size());
    }
    if (!context.findings.Expect(rows * 4 > all * 3, "{} of {} rows kept their experts", rows, all)) return;
    kl /= static_cast<double>(rows);
    context.findings.Expect(kl <= MostKl(executor.Info()), "a mean KL of {:.3g} nats to f32, allowed {:.3g}",
                            kl, MostKl(executor.Info()));
    context.findings.Expect(kl > 1e-9, "a mean KL of {:.3g} nats to f32: nothing was rounded", kl);
  });
}

// --- Goldens.

namespace {

constexpr double kNearTie = 0.02;       // of the range of a row's router logits; bf16 resolves 0.004 to 0.008
constexpr double kSixteenBitKl = 1e-3;  // nats a token, over rows that kept their experts
constexpr int32_t kContinuation = 64;

ExecutorLimits LimitsFor(const test::GoldenModel& golden) {
  ExecutorLimits limits;
  limits.max_context = static_cast<int64_t>(golden.prompt.size()) + kContinuation;
  limits.max_step_tokens = static_cast<int32_t>(golden.prompt.size());
  return limits;
}

// How far the reference was from a tie where the first layer chose another set of experts: the gap between
// its K-th and next logit, as a part of the row's range. Negative: no layer did.
double ChangedAtMargin(const ModelConfig& config, const test::SingleSequenceResult& reference,
                       const test::SingleSequenceResult& run, int64_t row) {
  const auto k = static_cast<size_t>(config.experts_per_token);
  const auto ranked = [&](const test::SingleSequenceResult& of, int32_t layer) {
    const std::span<const float> logits = of.taps.at({std::string(tap::kRouterLogits), layer}).row(row);
    std::vector<std::pair<float, int32_t>> order;
    for (size_t e = 0; e < logits.size(); ++e) order.emplace_back(-logits[e], static_cast<int32_t>(e));
    std::sort(order.begin(), order.end());
    return order;
  };
  const auto chosen = [&](const std::vector<std::pair<float, int32_t>>& order) {
    std::set<int32_t> experts;
    for (size_t i = 0; i < k; ++i) experts.insert(order[i].second);
    return experts;
  };
  for (int32_t layer = 0; layer < config.num_layers; ++layer) {
    const auto expected = ranked(reference, layer);
    if (chosen(expected) == chosen(ranked(run, layer))) continue;
    return static_cast<double>(expected[k].first - expected[k - 1].first) /
           static_cast<double>(expected.back().first - expected.front().first);
  }
  return -1.0;
}

const test::SingleSequenceResult& GoldenReference(const test::GoldenModel& golden,
                                                  const Checkpoint& checkpoint) {
  static std::map<std::string, test::SingleSequenceResult> runs;
  test::SingleSequenceResult& run = runs[golden.name];
  if (run.logits.rows == 0) {
    const auto executor = MakeReferenceExecutor(checkpoint.config, checkpoint.weights, LimitsFor(golden));
    run = test::RunSingleSequence(*executor, golden.prompt, {.keep_from = golden.keep_from()});
  }
  return run;
}

// Rows that kept their experts stay as close to float32 as transformers' own bfloat16 run; others were
// near-ties.
void ExpectSixteenBits(const test::GoldenModel& golden, const Checkpoint& checkpoint,
                       const test::SingleSequenceResult& run, Findings& findings) {
  const test::SingleSequenceResult& reference = GoldenReference(golden, checkpoint);
  const test::Matrix expected = golden.ReadLogits(), actual = GoldenLogitRows(golden, run.logits);
  const int64_t skipped = run.logits.rows - expected.rows;
  test::Matrix kept_expected, kept_actual;
  for (int64_t r = 0; r < expected.rows; ++r) {
    const double margin = ChangedAtMargin(checkpoint.config, reference, run, r + skipped);
    if (margin >= 0.0) {
      findings.Expect(margin < kNearTie, "row {}: another expert without a near-tie (margin {:.3g})", r,
                      margin);
      continue;
    }
    for (const auto& [into, from] :
         {std::pair{&kept_expected, &expected}, std::pair{&kept_actual, &actual}}) {
      into->values.insert(into->values.end(), from->row(r).begin(), from->row(r).end());
      into->cols = from->cols;
      ++into->rows;
    }
  }
  if (!findings.Expect(kept_expected.rows * 2 > expected.rows, "{} of {} rows kept their experts",
                       kept_expected.rows, expected.rows))
    return;
  const double kl = test::MeanKl(kept_expected, kept_actual);
  const double most = std::min(kSixteenBitKl, golden.transformers_bf16_mean_kl);
  findings.Expect(kl <= most, "a mean KL of {:.3g} nats where no expert changed, allowed {:.3g}", kl, most);
}

bool Wanted(const test::GoldenModel& golden, Effort effort) {
  if (effort == Effort::kFull) return true;
  if (effort == Effort::kBrief) return golden.name == "base";
  return golden.prompt.size() < 1000;
}

}  // namespace

void CheckGoldens(Context& context) {
  if (context.goldens.empty()) return context.findings.Add("no folder of goldens was named");
  for (const test::GoldenModel& golden : test::ReadGoldenModels(context.goldens)) {
    if (!Wanted(golden, context.effort)) continue;
    for (const std::string& layout : golden.checkpoints) {
      const std::string name = golden.name + "/" + layout;
      context.findings.At(name);
      auto checkpoint = std::make_shared<Checkpoint>(OpenCheckpoint(golden.folder / layout));
      // Small shapes of many kinds, and the dequantised form: a device may refuse them.
      const Model model{name, checkpoint->config, checkpoint->weights, checkpoint, true};
      const OpenedExecutor opened = context.Open(model, LimitsFor(golden));
      if (opened.executor == nullptr) continue;
      const ExecutorInfo& info = opened.executor->Info();
      const bool exact = info.precision == "f32" && info.activations.empty();
      const test::SingleSequenceResult run = test::RunSingleSequence(
          *opened, golden.prompt,
          {.continuation = exact ? kContinuation : 0, .keep_from = golden.keep_from()});
      if (exact) {
        for (const std::string& difference : TapAndLogitDifferences(golden, run, kEndToEnd))
          context.findings.Add("{}", difference);
        context.findings.Expect(run.continuation == golden.continuation, "another greedy continuation");
      } else if (info.activations.empty()) {
        ExpectSixteenBits(golden, *checkpoint, run, context.findings);
      } else {
        const double kl = test::MeanKl(golden.ReadLogits(), GoldenLogitRows(golden, run.logits));
        context.findings.Expect(kl < MostKl(info), "a mean KL of {:.3g} nats, allowed {:.3g}", kl,
                                MostKl(info));
      }
    }
  }
}

// --- The published widths.

namespace {

constexpr ExecutorLimits kWideLimits{
    .max_context = 64, .max_sequences = 3, .max_step_tokens = 32, .kv_tokens = 192};
constexpr size_t kWideSequences = 2;

// Up to the end of the first block cheaply (one expert, which serves one token), then rows across it, a
// second sequence beside them, and a decode step.
void FeedWide(Driver& driver) {
  const int32_t v = driver.info().vocab_size;
  RoutingPolicy cheap;
  cheap.num_experts = 1;
  cheap.capacity_factor = 1e-6;
  if (driver.info().can.capacity) {
    driver.Add(cheap);
    driver.Add();
    driver.Step({{.sequence = 0, .tokens = Prompt(7, 29, v)}});
    driver[0].policy = {};
  } else {
    driver.Add();
    driver.Add();
    driver.Step({{.sequence = 0, .tokens = Prompt(7, 29, v)}});
  }
  driver.Step({{.sequence = 0, .tokens = Prompt(8, 5, v), .wants = {{}}},
               {.sequence = 1, .tokens = Prompt(9, 2, v), .wants = {{}}}});
  driver.Step({{.sequence = 0, .tokens = {kLastSampled}, .wants = {{}}},
               {.sequence = 1, .tokens = {kLastSampled}, .wants = {{}}}});
}

// A vocabulary of 201,088 is about the logits: three rows, and a decode step.
void FeedFullVocabulary(Driver& driver) {
  driver.Add();
  driver.Add();
  driver.Step({{.sequence = 0, .tokens = {200002, 5}, .wants = {{}}},
               {.sequence = 1, .tokens = {201087}, .wants = {{}}}});
  driver.Step({{.sequence = 0, .tokens = {kLastSampled}, .wants = {{}}}});
}

void CheckWideModel(Context& context, const Model& model, const std::function<void(Driver&)>& feed) {
  Findings& findings = context.findings;
  const OpenedExecutor opened = context.Open(model, kWideLimits);
  const ExecutorInfo& info = opened.executor->Info();
  Driver driver(*opened, findings, kEverything);
  feed(driver);
  const std::vector<Sequence>& expected =
      ReferenceRun("published widths", model, kWideLimits, kEverything, kWideSequences, feed);
  const bool exact = info.precision == "f32" && info.activations.empty();
  for (size_t s = 0; s < kWideSequences; ++s) {
    const Sequence& actual = driver[static_cast<int32_t>(s)];
    if (exact) {
      ExpectCloseTo(actual, expected[s], kEndToEnd, findings);
      ExpectChoices(actual, expected[s], findings);
      ExpectTokens(actual, expected[s], findings);
    } else {
      ExpectStages(model, info, actual, {.columns = 40, .moe_rows = 2}, findings);
    }
  }
}

}  // namespace

void CheckWide32(Context& context) { CheckWideModel(context, WideModel(32), FeedWide); }
void CheckWide128(Context& context) { CheckWideModel(context, WideModel(128), FeedWide); }
void CheckFullVocabulary(Context& context) {
  CheckWideModel(context, FullVocabularyModel(), FeedFullVocabulary);
}

}  // namespace oxidized::conformance
