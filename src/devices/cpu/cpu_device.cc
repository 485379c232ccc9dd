#include "devices/cpu/cpu_device.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/printable.h"
#include "base/process.h"
#include "checkpoint/map_again.h"
#include "checkpoint/packed_file.h"
#include "devices/cpu/cpu_plan.h"
#include "devices/cpu/expert_memory.h"
#include "devices/own_weights.h"
#include "executor/cpu/cpu_moe_stages.h"
#include "parallel/cpu_topology.h"

namespace oxidized {
namespace {

class Stopwatch {
 public:
  double milliseconds() const {
    const std::chrono::duration<double, std::milli> elapsed = std::chrono::steady_clock::now() - start_;
    return elapsed.count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

class CpuDevice final : public OpenDevice {
 public:
  CpuDevice(std::shared_ptr<const Checkpoint> model, const DeviceOptions& options)
      : model_(std::move(model)), options_(options), cpu_(CpuOptionsOf(options)) {
    // What cannot be done is refused before anything is read.
    DeriveInfo(model_->config, KvLayout(model_->config), cpu_.limits);
    const Arrangements best = BestArrangements(model_->weights, cpu_);
    const bool changes = !options.use_mmap || options.experts.budget || !options.packed_weights.empty();
    if (changes) mine_ = std::make_unique<Checkpoint>(MapAgain(*model_));

    experts_ = std::make_unique<ExpertMemory>(options.experts, checkpoint(), options.use_mmap);
    PackDense();
    OwnWhatIsRead();
    ArrangeWhatIsOwn(best);
    if (options.read_ahead) experts_->ReadAhead(Unread(), Progress(PrepareStage::kReading));

    if (cpu_.activations == ActivationType::kInt8) {
      LogFault(LogLevel::kWarning,
               {.setting = Setting::kActivations,
                .value = "int8",
                .found = "lossy: inputs of products with MXFP4 and Q8_0 weights are rounded to 8 bits"});
    }
    cpu_.experts = &experts_->source();
    cpu_.packed = packed_;
    executor_ = MakeCpuExecutor(checkpoint().config, checkpoint().weights, cpu_);
    options_.progress = nullptr;  // it is the opener's
  }

  Executor& executor() override { return *executor_; }
  const DeviceReport& report() const override { return report_; }
  const ExpertStore* expert_store() const override { return experts_->store(); }
  const CleanupCounts* cleanup() const override { return &std::as_const(*experts_).cleaner().counts(); }
  void CleanUp() override { experts_->cleaner().Run(); }
  std::unique_ptr<MoeStages> MakeMoeStages(int64_t max_tokens) override {
    return MakeCpuMoeStages(checkpoint().config, checkpoint().weights, cpu_, max_tokens);
  }

 private:
  const Checkpoint& checkpoint() const { return mine_ != nullptr ? *mine_ : *model_; }

  std::function<void(int64_t done, int64_t total)> Progress(PrepareStage stage) const {
    return [this, stage](int64_t done, int64_t total) {
      if (options_.progress) options_.progress(stage, done, total);
    };
  }

  void PackDense() {
    const bool own_file = !options_.packed_weights.empty();
    if (!options_.pack_dense && !own_file) return;
    const Stopwatch watch;
    ThreadTeam team(CpuThreadsOf(options_));
    if (own_file) {
      packed_ = OpenPackedFile(options_.packed_weights, *mine_, PackedFileCheck::kValues, team,
                               Progress(PrepareStage::kComparing));
    } else {
      PackedDense::RequireCandidates(checkpoint().weights);
      packed_ =
          std::make_shared<const PackedDense>(checkpoint().weights, team, Progress(PrepareStage::kPacking));
    }
    report_.prepared.push_back(
        {.form = "packed",
         .what = "dense weights in 12 bits",
         .how = own_file ? "out of " + options_.packed_weights.string() + ", opened" : "packed",
         .bytes = packed_->packed_bytes(),
         .stored_bytes = packed_->stored_bytes(),
         .own_file = own_file,
         .milliseconds = watch.milliseconds()});
  }

  // Parts of the files that nobody computes with: values that were decoded, or that are read packed.
  std::vector<std::span<const std::byte>> Unread() const {
    std::vector<std::span<const std::byte>> unread = checkpoint().decoded.sources;
    if (packed_ != nullptr) {
      const auto packed = UnreadBesidePacked(checkpoint().weights, *packed_);
      unread.insert(unread.end(), packed.begin(), packed.end());
    }
    return unread;
  }

  // After everything that reads a weight once, to convert or pack it: those need no memory of ours.
  void OwnWhatIsRead() {
    const ExpertStore* store = experts_->store();
    if (options_.use_mmap && store == nullptr) return;
    OwnedWeights what{.model = checkpoint().path.string(),
                      .unread = Unread(),
                      .beside_bytes = kHeapBytes,
                      .remedy = MapInstead(),
                      .progress = Progress(PrepareStage::kReading)};
    if (store != nullptr) {
      const auto experts = store->map().stored_parts();
      what.unread.insert(what.unread.end(), experts.begin(), experts.end());
      what.beside_bytes += store->slots() * store->slot_bytes();
      const bool least = store->slots() <= options_.experts.ExpertsPerToken(checkpoint().config);
      what.remedy = {
          Setting::kExpertMemory,
          least ? "leave out {}, which is the least already: mapped weights need not all be in memory"
                : "give a smaller {}, or none: mapped weights need not all be in memory"};
    }
    OwnWeights(mine_->files, what);
  }

  // Weights that are mapped, or that a store reads, stay as stored.
  void ArrangeWhatIsOwn(Arrangements best) {
    const bool store = experts_->store() != nullptr;
    if (options_.use_mmap && !store) return;
    if (store) best.experts.reset();
    if (!best.any()) return;
    const Stopwatch watch;
    ThreadTeam team(CpuThreadsOf(options_));
    for (MappedFile& file : mine_->files) file.LetOwnedBeWritten(true);
    const int64_t bytes = ArrangeWeights(best, mine_->weights, team, Progress(PrepareStage::kArranging));
    for (MappedFile& file : mine_->files) file.LetOwnedBeWritten(false);
    if (bytes == 0) return;
    report_.prepared.push_back({.form = best.name(),
                                .what = best.experts == ExpertLayout::kGroupedMxfp4
                                            ? "blocks of MXFP4 grouped"
                                            : "rows interleaved for 8-bit activations",
                                .how = "",
                                .bytes = bytes,
                                .milliseconds = watch.milliseconds()});
  }

  const std::shared_ptr<const Checkpoint> model_;
  DeviceOptions options_;
  CpuExecutorOptions cpu_;
  std::unique_ptr<Checkpoint> mine_;  // where bytes of the model change; nullptr: none do
  std::unique_ptr<ExpertMemory> experts_;
  std::shared_ptr<const PackedDense> packed_;
  DeviceReport report_;
  std::unique_ptr<Executor> executor_;
};

DeviceAvailability Available() {
  DeviceInstance cpu;
  cpu.name = fmt::format("CPU, {}, {}", SelectCpuKernels().name,
                         Counted(DetectCpuTopology().UsableCpus(), "processor"));
  cpu.memory_bytes = TotalMemoryBytes();
  if (const auto limit = ReadMemoryLimit()) cpu.memory_bytes = std::min(cpu.memory_bytes, limit->limit_bytes);
  cpu.available_bytes = AvailableMemoryBytes();
  return {{cpu}, "", {}};
}

DType DecodedTo(const DeviceOptions& options) {
  return options.precision == Precision::kF32 ? DType::kF32 : DType::kBF16;
}

std::unique_ptr<OpenDevice> Open(std::shared_ptr<const Checkpoint> checkpoint, const DeviceOptions& options) {
  return std::make_unique<CpuDevice>(std::move(checkpoint), options);
}

}  // namespace

DeviceRow CpuDeviceRow() {
  return {"cpu", "all cores of this machine, with its best instructions", true, Available, DecodedTo, PlanCpu,
          Open};
}

}  // namespace oxidized
