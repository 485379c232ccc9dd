// The device row: what a device is, what a model would take on it, and how it is opened. A device is a folder
// here and a row of the table in table.cc; nothing outside devices/ names a concrete executor or a form of
// weights that only one of them reads.
//
// Each device prepares its own weights (mapping, owning, packing, rearranging, a store of experts, reading
// ahead, uploading) before its executor exists. Seen by model_host/ and by the conformance suite.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "devices/memory_plan.h"
#include "executor/executor.h"
#include "executor/limits.h"
#include "executor/moe_stages.h"
#include "experts/cleaner.h"
#include "experts/expert_budget.h"
#include "experts/expert_store.h"
#include "moe/eviction_policy.h"
#include "tensor/precision.h"

namespace oxidized {

// --- What is asked for.

struct ExpertMemoryOptions {
  std::optional<ExpertBudget> budget;  // nullopt: every expert
  EvictionRule eviction = EvictionRule::kLru;
  bool prefetch = true;
  int32_t experts_per_token = 0;  // of the requests to come; 0: the model's

  int32_t ExpertsPerToken(const ModelConfig& config) const {
    return experts_per_token > 0 ? experts_per_token : config.experts_per_token;
  }
};

// What a device does with the weights before its executor exists, one after the other.
enum class PrepareStage : uint8_t {
  kPacking,    // done and total in stored bytes
  kComparing,  // a packed file with the model's values
  kReading,    // into memory of our own, or ahead into the page cache
  kArranging,  // into forms that no file has
};

struct DeviceOptions {
  ExecutorLimits limits;
  int32_t instance = 0;  // of several devices of one row: "cuda:1" is 1
  Precision precision = Precision::kAuto;
  ActivationType activations = ActivationType::kAsPrecision;
  int32_t threads = 0;    // of the host; 0: the processors this process may use
  std::string tier = {};  // kernels of this name; empty: the best that run here
  // false: everything is read into memory. With a store of experts, all but these is, in any case.
  bool use_mmap = true;
  bool read_ahead = false;               // what is mapped, where it fits: the first step faults nothing in
  bool pack_dense = false;               // dense bf16 weights in 12 bits, made now
  std::filesystem::path packed_weights;  // the same out of this file, made by `convert`; empty: none
  ExpertMemoryOptions experts;
  // Bytes done and in all. May be empty; may throw, which ends the opening.
  std::function<void(PrepareStage stage, int64_t done, int64_t total)> progress = {};
};

// --- What there is.

// One piece of hardware that a row can open.
struct DeviceInstance {
  int32_t index = 0;  // "cuda:1" is 1
  std::string name;   // for people
  int64_t memory_bytes = 0;
  int64_t available_bytes = 0;  // of it, at the moment
  bool hardware = true;         // false: a driver in software, which "auto" never takes
};

struct DeviceAvailability {
  std::vector<DeviceInstance> instances;  // empty: not available, for the reason below
  std::string why_not;                    // "this build has no CUDA executor"
  Remedy what_to_do;                      // "use {} cpu"
};

// Bytes by class, and what fits. Speeds are 0 unless they were asked for.
struct DevicePlan {
  PlanInput input;
  MemoryPlan memory;
  int64_t packed_bytes = 0;     // of the dense weights, those in 12 bits
  bool packed_mapped = false;   // out of a file of their own
  bool packed_compared = true;  // with the values of the model
  const char* disk_method = "";
};

// --- What is open.

// What became of some of the weights on the way to the device.
struct PreparedWeights {
  std::string form = {};     // for programs: "packed", "interleaved", "grouped"
  std::string what = {};     // for people: "dense weights in 12 bits"
  std::string how = {};      // likewise: "packed", "out of FILE, opened"; may be empty
  int64_t bytes = 0;         // in this form
  int64_t stored_bytes = 0;  // before, where that is another number; else 0
  bool own_file = false;     // they lie in a file of their own
  double milliseconds = 0.0;
};
struct DeviceReport {
  std::vector<PreparedWeights> prepared;  // empty: weights are read as stored

  const PreparedWeights* Find(std::string_view form) const {
    for (const PreparedWeights& weights : prepared) {
      if (weights.form == form) return &weights;
    }
    return nullptr;
  }
};

// An executor with all that it reads. Keeps the checkpoint alive; used by one engine.
class OpenDevice {
 public:
  virtual ~OpenDevice() = default;
  virtual Executor& executor() = 0;
  virtual const DeviceReport& report() const = 0;
  virtual const ExpertStore* expert_store() const { return nullptr; }  // nullptr: every expert is resident
  virtual const CleanupCounts* cleanup() const { return nullptr; }     // nullptr: it cleans nothing up
  // By the engine, every kCleanupSteps steps, while none is in flight.
  virtual void CleanUp() {}
  // The stages of the model's mixture of experts by themselves, as the executor would run them; nullptr: this
  // device does not time them. Every expert is taken from its mapping, whatever memory the options allow.
  virtual std::unique_ptr<MoeStages> MakeMoeStages([[maybe_unused]] int64_t max_tokens) { return nullptr; }
};

// --- The row.

struct DeviceRow {
  const char* name;  // "cuda"
  const char* what;  // one line for people
  bool automatic;    // whether "auto" may take it

  DeviceAvailability (*available)();
  // What tensors in types that nothing computes on are to become when the checkpoint is opened.
  DType (*decoded_to)(const DeviceOptions& options);
  // `checkpoint` may be opened with metadata_only. `measure`: also how fast memory and disk are here, which
  // takes a second. Reserves nothing that lasts. Throws Error(kUsage, kBadFile).
  DevicePlan (*plan)(const Checkpoint& checkpoint, const DeviceOptions& options, bool measure);
  // `checkpoint`, opened with decoded_to(options), may have other users: nothing of it changes. A model
  // made in memory is a checkpoint without files. Throws Error (kUsage, kNoMemory, kBadFile, kUnsupported).
  std::unique_ptr<OpenDevice> (*open)(std::shared_ptr<const Checkpoint> checkpoint,
                                      const DeviceOptions& options);
};

// Every device that this program knows, in the order in which "auto" asks them.
std::span<const DeviceRow> Devices();
const DeviceRow& DeviceNamed(std::string_view name);  // a row that exists: "cpu", "reference"

// --- The choice.

// "auto", or a row and one of its instances.
struct DeviceChoice {
  std::string name = "auto";
  int32_t instance = 0;
  bool automatic() const { return name == "auto"; }
  bool operator==(const DeviceChoice&) const = default;
};
// "cuda:1". nullopt: none of `rows`.
std::optional<DeviceChoice> ParseDeviceChoice(std::string_view text,
                                              std::span<const DeviceRow> rows = Devices());
std::string DeviceWords(std::span<const DeviceRow> rows = Devices());  // "auto|cuda|...", for help

// The row to open, and options with the instance. Named: that one; Error(kUnsupported) where it is not
// available, saying why and what to do. "auto": the first that is available in hardware and on which the
// model fits, with one line to the log for each on which it does not; the last of them takes any model.
// `metadata` is asked for only where several might do.
struct ChosenDevice {
  const DeviceRow* row;
  DeviceOptions options;
};
ChosenDevice ChooseDevice(const DeviceChoice& choice, const DeviceOptions& options,
                          const std::function<const Checkpoint&()>& metadata,
                          std::span<const DeviceRow> rows = Devices());

}  // namespace oxidized
