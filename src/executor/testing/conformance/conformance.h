// The conformance suite: holds any executor to the contract (executor.h, step_batch.h), to the reference
// executor and to the committed goldens. Given a device it runs a table of named checks and returns what
// failed as data, so that planted faults can be asserted as easily as soundness.
//
// It does not know concrete devices and opens nothing itself: tests/conformance makes a Subject of every
// device row and runs it. What a device may do is read from ExecutorInfo; what it says it can, it is held to.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "executor/executor.h"
#include "executor/limits.h"
#include "model/weights.h"

namespace oxidized::conformance {

// An executor and what keeps it alive, with weights of its own or a thread beside it.
struct OpenedExecutor {
  std::shared_ptr<void> owner;
  Executor* executor = nullptr;

  Executor& operator*() const { return *executor; }
};

struct Subject {
  std::string name;  // "cpu avx2 bf16"
  // `config` and `weights` outlive the executor and are not changed. Throws Error(kUnsupported or kUsage) for
  // a shape or stored form that the device does not take; the published form cannot be refused.
  std::function<OpenedExecutor(const ModelConfig& config, const WeightsView& weights,
                               const ExecutorLimits& limits)>
      open;
  // Makes the next step of this executor fail as a whole. Empty: the device has no such hook.
  std::function<void(Executor&)> fail_next_step;
};

// What a check needs of a device beside the bare contract: bits of Check::needs.
enum Need : uint32_t {
  kLogits = 1u << 0,        // can.logits_sinks
  kTaps = 1u << 1,          // can.taps
  kRouting = 1u << 2,       // can.routing
  kRouterLogits = 1u << 3,  // can.router_logits
  kMasks = 1u << 4,         // can.masks
  kPenalties = 1u << 5,     // can.penalties
  kLogprobs = 1u << 6,      // can.top_logprobs >= 0
  kCapacity = 1u << 7,      // can.capacity
  kF32 = 1u << 8,           // precision f32, nothing rounded
  kRounded = 1u << 9,       // 16 bits, or lossy
  kInvariance = 1u << 10,   // batch_invariant
  kLateMasks = 1u << 11,    // late_masks
  kTwoSteps = 1u << 12,     // steps_in_flight == 2
  kFailureHook = 1u << 13,  // Subject::fail_next_step
};

enum class Effort : uint8_t {
  kBrief,  // where code is emulated or sanitised: the smallest set that still meets every check
  kUsual,  // ./build.sh test
  kFull,   // OXIDIZED_CONFORMANCE=full, as ./build.sh test --full sets it
};

class Context;

struct Check {
  const char* name;
  const char* what;  // for people, one line
  uint32_t needs;    // bits of Need
  Effort least;      // it is run from this effort on
  void (*run)(Context&);
};
std::span<const Check> Checks();

struct CheckResult {
  std::string check;
  std::vector<std::string> failures;  // the first few; empty: passed or left out
  std::string left_out;               // why it was not run; empty: it was
  std::vector<std::string> refused;   // models that the device does not take
  double seconds = 0.0;
};

struct Selection {
  Effort effort = Effort::kUsual;
  std::vector<std::string_view> only;  // names of checks; empty: all
  std::string goldens;                 // folder tests/golden/model; empty: no goldens
};

// One outcome for each check selected, in the table's order. A check that throws has failed.
std::vector<CheckResult> RunConformance(const Subject& subject, const Selection& selection = {});

// "check: message" of everything that failed.
std::vector<std::string> Failures(std::span<const CheckResult> outcomes);

}  // namespace oxidized::conformance
