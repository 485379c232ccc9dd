// What a check works with: the subject opened on a model, its findings, runs of the reference that are kept
// for all subjects of the process, and small helpers that several checks share.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "executor/testing/conformance/compare_runs.h"
#include "executor/testing/conformance/conformance.h"
#include "executor/testing/conformance/driver.h"
#include "executor/testing/conformance/findings.h"
#include "executor/testing/conformance/models.h"

namespace oxidized::conformance {

inline constexpr ExecutorLimits kLimits{
    .max_context = 256, .max_sequences = 4, .max_step_tokens = 160, .kv_tokens = 1024};

class Context {
 public:
  Context(const Subject& subject, Effort the_effort, const std::string& folder)
      : effort(the_effort), goldens(folder), subject_(subject) {}

  const Effort effort;
  const std::string& goldens;
  Findings findings;
  std::vector<std::string> refused;  // models that the device does not take

  bool brief() const { return effort == Effort::kBrief; }
  const Subject& subject() const { return subject_; }

  // An executor without one, if the device refuses an optional model.
  OpenedExecutor Open(const Model& model, const ExecutorLimits& limits = kLimits);
  // body(model, executor) on each narrow model that the device takes.
  void ForNarrowModels(const std::function<void(const Model&, Executor&)>& body,
                       const ExecutorLimits& limits = kLimits);
  // Equal in every bit where the device promises so, else close.
  void ExpectSame(Executor& executor, const Sequence& actual, const Sequence& expected,
                  const std::string& what);

 private:
  const Subject& subject_;
};

// Token ids that a seed gives.
std::vector<int32_t> Prompt(uint64_t seed, int64_t n, int32_t vocab_size);
std::vector<int32_t> Slice(const std::vector<int32_t>& tokens, int64_t begin, int64_t end);

// Three sequences in five ragged steps: a chunk beside a chunk, a decoding row beside chunks, and so on; each
// step samples greedily behind each sequence. 150, 70 and 9 tokens.
std::vector<std::vector<int32_t>> RaggedPrompts(int32_t vocab_size);
void FeedRagged(Driver& driver);

// The sequences of a run of the reference executor; made once in a process for each `key`.
const std::vector<Sequence>& ReferenceRun(const std::string& key, const Model& model,
                                          const ExecutorLimits& limits, Show show, size_t sequences,
                                          const std::function<void(Driver&)>& script);

// What a sample must be, given the raw logits that the device itself showed for its row.
SampledToken ExpectedSample(std::span<const float> logits, const Want& want, const TokenMask* mask,
                            const TokenHistory* history, int64_t position);
// Token, log-probabilities and score, as far as the want asked for them.
void ExpectSample(const SampledToken& actual, const SampledToken& expected, const Want& want,
                  const std::string& what, Findings& findings);

// The checks by subject; the table in conformance.cc says what each is for.
void CheckInfo(Context& context);
void CheckTaps(Context& context);
void CheckStages(Context& context);
void CheckRounding(Context& context);
void CheckGoldens(Context& context);
void CheckWide32(Context& context);
void CheckWide128(Context& context);
void CheckFullVocabulary(Context& context);

void CheckGreedy(Context& context);
void CheckSampling(Context& context);
void CheckLogprobs(Context& context);
void CheckPenalties(Context& context);
void CheckMasks(Context& context);
void CheckEmptyMask(Context& context);
void CheckLateMasks(Context& context);

void CheckChunks(Context& context);
void CheckBatchMates(Context& context);
void CheckSeveralSamples(Context& context);
void CheckVoidRows(Context& context);
void CheckLimits(Context& context);
void CheckRepeats(Context& context);

void CheckSlots(Context& context);
void CheckCopies(Context& context);
void CheckCopyOrder(Context& context);
void CheckReusedBlocks(Context& context);

void CheckRouting(Context& context);
void CheckCapacity(Context& context);
void CheckObservation(Context& context);
void CheckPolicies(Context& context);

void CheckNonFinite(Context& context);
void CheckFailedStep(Context& context);
void CheckTwoSteps(Context& context);

}  // namespace oxidized::conformance
