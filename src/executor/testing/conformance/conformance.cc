#include "executor/testing/conformance/conformance.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>

#include "executor/testing/conformance/context.h"

namespace oxidized::conformance {
namespace {

constexpr Effort kAlways = Effort::kBrief;

constexpr Check kChecks[] = {
    {"info", "what the executor says of itself is the model's and the limits'", 0, kAlways, CheckInfo},

    {"taps", "taps, logits, choices and greedy tokens of ragged steps are the reference's, in f32",
     kF32 | kTaps | kLogits | kRouting, kAlways, CheckTaps},
    {"stages", "each tap follows from the taps before it by the model's definition, in every precision",
     kTaps | kLogits | kRouting, kAlways, CheckStages},
    {"rounding", "16 bits and 8 move the distribution, and only a little", kRounded | kLogits | kRouting,
     kAlways, CheckRounding},
    {"goldens", "the committed goldens of transformers", kTaps | kLogits, kAlways, CheckGoldens},
    {"wide-32", "published widths, 32 experts, three layers", kTaps | kLogits | kRouting, Effort::kUsual,
     CheckWide32},
    {"wide-128", "published widths, 128 experts, two layers", kTaps | kLogits | kRouting, Effort::kUsual,
     CheckWide128},
    {"full-vocabulary", "published widths and vocabulary", kTaps | kLogits | kRouting, Effort::kFull,
     CheckFullVocabulary},

    {"greedy", "the highest logit, the lowest id on ties, fed on as kLastSampled", kLogits, kAlways,
     CheckGreedy},
    {"sampling", "draws of every mode and seed follow from the logits shown", kLogits, kAlways,
     CheckSampling},
    {"logprobs", "log-probabilities, most likely tokens and scores", kLogits | kLogprobs, kAlways,
     CheckLogprobs},
    {"penalties", "penalties count what was fed and what was reused, of this sequence alone",
     kLogits | kPenalties, kAlways, CheckPenalties},
    {"masks", "masks of any shape, each for its own sample", kLogits | kMasks, kAlways, CheckMasks},
    {"empty-mask", "a mask that allows nothing voids its own sample", kMasks, kAlways, CheckEmptyMask},
    {"late-masks", "masks that come after Submit give what masks in the batch give", kLateMasks | kMasks,
     kAlways, CheckLateMasks},

    {"chunks", "no bit depends on how a prompt is cut", kInvariance | kLogits, kAlways, CheckChunks},
    {"batch-mates", "no bit depends on batch mates or their order", kInvariance | kLogits, kAlways,
     CheckBatchMates},
    {"several-samples", "several rows of a sequence sampled in one step", kLogits, kAlways,
     CheckSeveralSamples},
    {"void-rows", "a step that begins earlier than the last one ended replaces its rows", kLogits, kAlways,
     CheckVoidRows},
    {"limits", "the largest step, every slot and the last position", kLogits, kAlways, CheckLimits},
    {"repeats", "the same steps give the same bits", kLogits, kAlways, CheckRepeats},

    {"slots", "a slot keeps its last token while others run, and forgets it on reset", kLogits, kAlways,
     CheckSlots},
    {"copies", "sequences go on from copied blocks, apart from each other", kLogits, kAlways, CheckCopies},
    {"copy-order", "copies take effect in the order of their list", kLogits, kAlways, CheckCopyOrder},
    {"reused-blocks", "blocks and slots of those who ended leave nothing behind", kLogits, kAlways,
     CheckReusedBlocks},

    {"routing", "every rule, K and limit of experts: choices and weights follow from the logits shown",
     kRouting | kRouterLogits, kAlways, CheckRouting},
    {"capacity", "the same under a capacity", kRouting | kRouterLogits | kCapacity, kAlways, CheckCapacity},
    {"observation", "watching the routers changes nothing", kRouterLogits | kLogits, kAlways,
     CheckObservation},
    {"policies", "each sequence of a step has its own policy, however many there are", kLogits | kRouting,
     kAlways, CheckPolicies},

    {"non-finite", "a NaN is said of the rows that see it, and of no other", kLogits | kRouting, kAlways,
     CheckNonFinite},
    {"failed-step", "a step that failed ends neither the queue nor other sequences", kFailureHook | kLogits,
     kAlways, CheckFailedStep},
    {"two-steps", "two steps in flight give what one gives", kTwoSteps | kLogits, kAlways, CheckTwoSteps},
};

struct NeedRow {
  uint32_t bit;
  const char* words;
  bool (*met)(const Subject&, const ExecutorInfo&);
};
constexpr NeedRow kNeeds[] = {
    {kLogits, "rows of logits", [](const Subject&, const ExecutorInfo& i) { return i.can.logits_sinks; }},
    {kTaps, "taps", [](const Subject&, const ExecutorInfo& i) { return i.can.taps; }},
    {kRouting, "observed routing", [](const Subject&, const ExecutorInfo& i) { return i.can.routing; }},
    {kRouterLogits, "router logits",
     [](const Subject&, const ExecutorInfo& i) { return i.can.router_logits; }},
    {kMasks, "masks", [](const Subject&, const ExecutorInfo& i) { return i.can.masks; }},
    {kPenalties, "penalties", [](const Subject&, const ExecutorInfo& i) { return i.can.penalties; }},
    {kLogprobs, "log-probabilities",
     [](const Subject&, const ExecutorInfo& i) { return i.can.top_logprobs >= 0; }},
    {kCapacity, "capacities", [](const Subject&, const ExecutorInfo& i) { return i.can.capacity; }},
    {kF32, "nothing rounded",
     [](const Subject&, const ExecutorInfo& i) { return i.precision == "f32" && i.activations.empty(); }},
    {kRounded, "something rounded",
     [](const Subject&, const ExecutorInfo& i) { return i.precision != "f32" || !i.activations.empty(); }},
    {kInvariance, "batch invariance",
     [](const Subject&, const ExecutorInfo& i) { return i.batch_invariant; }},
    {kLateMasks, "late masks", [](const Subject&, const ExecutorInfo& i) { return i.late_masks; }},
    {kTwoSteps, "two steps in flight",
     [](const Subject&, const ExecutorInfo& i) { return i.steps_in_flight >= 2; }},
    {kFailureHook, "a hook that fails a step",
     [](const Subject& s, const ExecutorInfo&) { return static_cast<bool>(s.fail_next_step); }},
};

std::string Missing(const Check& check, const Subject& subject, const ExecutorInfo& info) {
  for (const NeedRow& need : kNeeds) {
    if ((check.needs & need.bit) != 0 && !need.met(subject, info))
      return fmt::format("the device does not claim {}", need.words);
  }
  return {};
}

CheckResult RunOne(const Check& check, const Subject& subject, const ExecutorInfo& info,
                   const Selection& selection) {
  CheckResult outcome;
  outcome.check = check.name;
  outcome.left_out = selection.effort < check.least ? "only with more effort" : Missing(check, subject, info);
  if (!outcome.left_out.empty()) return outcome;
  const auto start = std::chrono::steady_clock::now();
  Context context(subject, selection.effort, selection.goldens);
  try {
    check.run(context);
  } catch (const std::exception& error) {
    context.findings.Add("threw: {}", error.what());
  }
  outcome.failures = context.findings.messages();
  if (const int64_t more = context.findings.count() - static_cast<int64_t>(outcome.failures.size()); more > 0)
    outcome.failures.push_back(fmt::format("and {} more", more));
  outcome.refused = context.refused;
  outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return outcome;
}

}  // namespace

std::span<const Check> Checks() { return kChecks; }

std::vector<CheckResult> RunConformance(const Subject& subject, const Selection& selection) {
  ExecutorInfo info;
  {
    const OpenedExecutor opened = subject.open(MainModel().config, MainModel().weights, kLimits);
    info = opened.executor->Info();
  }
  std::vector<CheckResult> outcomes;
  for (const Check& check : kChecks) {
    const auto& only = selection.only;
    if (!only.empty() && std::find(only.begin(), only.end(), check.name) == only.end()) continue;
    outcomes.push_back(RunOne(check, subject, info, selection));
  }
  return outcomes;
}

std::vector<std::string> Failures(std::span<const CheckResult> outcomes) {
  std::vector<std::string> failures;
  for (const CheckResult& outcome : outcomes) {
    for (const std::string& failure : outcome.failures) failures.push_back(outcome.check + ": " + failure);
  }
  return failures;
}

}  // namespace oxidized::conformance
