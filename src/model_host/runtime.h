// The composition root: opens a model, its tokenizer and an executor, and puts an engine on them. The only
// place that names concrete readers and executors; commands and servers see this.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "engine/engine.h"
#include "harmony/tokens.h"
#include "hub/pull.h"
#include "model/arrange.h"
#include "model/packed_dense.h"
#include "model_host/expert_memory.h"
#include "tokenizer/tokenizer.h"

namespace oxidized {

enum class ExecutorKind : uint8_t { kAuto, kReference, kCpu };
enum class Precision : uint8_t { kAuto, kF32, kBf16, kF16 };
enum class ActivationType : uint8_t { kAuto, kInt8 };  // kAuto: as the precision says

// Names the vocabulary that is part of the program where a tokenizer's path is expected.
inline constexpr const char* kBuiltInTokenizer = "o200k_harmony";

struct RuntimeOptions {
  std::filesystem::path model_path;      // see ResolveModelPath
  std::filesystem::path tokenizer_path;  // empty: the model's own; kBuiltInTokenizer: the built-in one
  // false: everything is read into memory. With a store of experts, all but these is, in any case.
  bool use_mmap = true;
  ExecutorKind executor = ExecutorKind::kAuto;
  Precision precision = Precision::kAuto;
  ActivationType activations = ActivationType::kAuto;  // kInt8 is lossy
  int32_t threads = 0;                                 // 0: the processors this process may use
  int64_t context = 0;                                 // 0: what the model allows
  int32_t chunk_tokens = 0;                            // 0: as many as a step holds
  int32_t max_sequences = 1;
  SpeculationOptions speculation = {};
  // The rotation as llama.cpp computes it (RopeConfig::truncate), for comparisons.
  bool yarn_truncate = false;
  bool pack_dense = false;               // dense bf16 weights in 12 bits, made when the model is opened
  std::filesystem::path packed_weights;  // the same out of this file, made by `convert`; empty: none
  std::function<void(int64_t done, int64_t total)> packing_progress = {};    // stored bytes
  std::function<void(int64_t done, int64_t total)> comparing_progress = {};  // of values with packed_weights
  std::function<void(int64_t done, int64_t total)> reading_progress = {};    // bytes read into memory
  std::function<void(int64_t done, int64_t total)> arranging_progress = {};  // bytes of weights
  ExpertMemoryOptions experts;
  hub::PullWatch download;  // told when model_path has to be fetched first
};

// The small model: $OXIDIZED_MODEL, else models/demo beside the program's sources or installed under its
// prefix. Throws Error(kBadFile) saying where it looked.
std::filesystem::path DefaultModelPath();

// What a model path means: a file or folder; "hf:org/name[@revision][:QUANT]", a model of the hub, from its
// cache or fetched now (docs/download.md); empty: DefaultModelPath(). Throws Error, Interrupted.
std::filesystem::path ResolveModelPath(const std::filesystem::path& path, const hub::PullWatch& watch = {});
// The same of what is here already: nothing is fetched. nullopt: it is not in the cache.
std::optional<std::filesystem::path> FindModelHere(const std::filesystem::path& path);

class Runtime {
 public:
  // Throws Error (kBadFile, kNoMemory, kUsage, kUnsupported).
  static std::unique_ptr<Runtime> Load(const RuntimeOptions& options);

  const Checkpoint& checkpoint() const { return checkpoint_; }
  Executor& executor() { return *executor_; }
  Engine& engine() { return *engine_; }
  const Engine& engine() const { return *engine_; }
  const ExpertMemory* experts() const { return experts_.get(); }  // nullptr: with the reference executor
  const PackedDense* packed() const { return packed_.get(); }     // nullptr: weights are read as stored
  double load_ms() const { return load_ms_; }
  double packing_ms() const { return packing_ms_; }  // of load_ms: packing, or opening the file of it
  // How weights in memory of our own were rearranged, how many bytes of them, and how long it took.
  Arrangement arrangement() const { return arrangement_; }
  int64_t arranged_bytes() const { return arranged_bytes_; }
  double arranging_ms() const { return arranging_ms_; }

  // Brings a mapped model that is not in memory there, front to back, if it fits: the first step would
  // otherwise fault it in page by page. `progress` (bytes done, bytes in all) returns false to stop.
  void ReadAhead(const std::function<bool(int64_t done, int64_t total)>& progress) const;

  // Loaded when first asked for: `logits` needs none. Throws Error(kBadFile) if there is none or it does not
  // fit.
  const Tokenizer& tokenizer();
  const HarmonyTokens& harmony();
  // Ids that may be sampled: those that the tokenizer can decode. A model has rows for ids that stand for
  // nothing.
  std::shared_ptr<const TokenMask> sampling_mask();

 private:
  Runtime() = default;
  void PackDense();
  std::vector<std::span<const std::byte>> Unread() const;
  void OwnWhatIsRead();
  void ArrangeWhatIsOwn();

  RuntimeOptions options_;
  Checkpoint checkpoint_;
  std::unique_ptr<ExpertMemory> experts_;
  std::shared_ptr<const PackedDense> packed_;
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::optional<HarmonyTokens> harmony_;
  std::shared_ptr<TokenMask> mask_;
  Arrangement arrangement_ = Arrangement::kAsStored;
  int64_t arranged_bytes_ = 0;
  double load_ms_ = 0.0, packing_ms_ = 0.0, arranging_ms_ = 0.0;
};

// The tokenizer alone: with a tokenizer path no model is opened. Throws Error(kBadFile).
std::unique_ptr<Tokenizer> OpenTokenizer(const RuntimeOptions& options);

}  // namespace oxidized
