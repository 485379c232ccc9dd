#include "model_host/runtime.h"

#include <chrono>
#include <cstdlib>

#include "base/error.h"
#include "base/log.h"
#include "base/process.h"
#include "checkpoint/checkpoint_tokenizer.h"
#include "checkpoint/packed_file.h"
#include "executor/reference/reference_executor.h"
#include "experts/own_weights.h"
#include "experts/plan.h"
#include "model_host/cpu_options.h"
#include "tokenizer/o200k.h"

namespace oxidized {
namespace {

std::unique_ptr<Executor> MakeExecutor(const RuntimeOptions& options, const Checkpoint& checkpoint,
                                       ExpertMemory* experts, std::shared_ptr<const PackedDense> packed) {
  if (options.executor != ExecutorKind::kReference) {
    CpuExecutorOptions cpu = CpuOptionsOf(options, checkpoint);
    cpu.experts = &experts->source();
    cpu.packed = std::move(packed);
    if (cpu.activations == CpuActivationType::kInt8) {
      Log(LogLevel::kWarning,
          "--activations int8 is lossy: inputs of products with MXFP4 and Q8_0 weights are rounded to 8 "
          "bits");
    }
    return MakeCpuExecutor(checkpoint.config, checkpoint.weights, cpu);
  }
  if (options.experts.budget) {
    Fail(ErrorKind::kUsage,
         "--expert-memory: the reference executor wants every expert in memory; use --executor cpu");
  }
  if (options.precision != Precision::kAuto && options.precision != Precision::kF32) {
    Fail(ErrorKind::kUsage,
         "the reference executor computes in f32 only; use --precision f32 or --executor cpu");
  }
  if (options.activations == ActivationType::kInt8) {
    Fail(ErrorKind::kUsage, "--activations int8: the reference executor computes in f32; use --executor cpu");
  }
  if (options.pack_dense || !options.packed_weights.empty()) {
    Fail(ErrorKind::kUsage, "{}: the reference executor takes weights as stored; use --executor cpu",
         options.pack_dense ? "--pack-weights" : "--packed-weights");
  }
  if (options.threads > 1) {
    Fail(ErrorKind::kUsage,
         "the reference executor runs on one thread; leave out --threads or use --executor cpu");
  }
  return MakeReferenceExecutor(checkpoint.config, checkpoint.weights, LimitsOf(options));
}

// A path, or the name of the built-in tokenizer where no file is called so.
std::unique_ptr<Tokenizer> LoadTokenizer(const std::filesystem::path& path) {
  std::error_code ignored;
  const bool built_in = path == kBuiltInTokenizer && !std::filesystem::exists(path, ignored);
  return built_in ? Tokenizer::BuiltIn() : Tokenizer::Load(path);
}

std::unique_ptr<Tokenizer> LoadTokenizer(const std::filesystem::path& path, const Checkpoint& checkpoint) {
  if (!path.empty()) return LoadTokenizer(path);
  if (std::unique_ptr<Tokenizer> own = TokenizerOf(checkpoint)) return own;
  Fail(ErrorKind::kBadFile,
       "{}: no tokenizer.json or rank file beside the model, and its {} rows are not the {} of {}; name a "
       "tokenizer with --tokenizer-path",
       checkpoint.path.string(), checkpoint.config.vocab_size, kHarmonyIds, kBuiltInTokenizer);
}

}  // namespace

std::filesystem::path DefaultModelPath() {
  if (const char* chosen = std::getenv("OXIDIZED_MODEL"); chosen != nullptr && *chosen != '\0') return chosen;
  std::error_code ignored;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
  const std::filesystem::path places[] = {program / "../models/demo", program / "models/demo",
                                          program / "../share/oxidized_gpt_oss/models/demo"};
  for (const auto& place : places) {
    if (std::filesystem::exists(place / "config.json", ignored)) return place.lexically_normal();
  }
  Fail(ErrorKind::kBadFile, "no model given and none found at {}; name one with --model-path",
       places[0].lexically_normal().string());
}

std::filesystem::path ResolveModelPath(const std::filesystem::path& path, const hub::PullWatch& watch) {
  if (path.empty()) return DefaultModelPath();
  return hub::IsHubPath(path.string()) ? hub::OpenHubModel(path.string(), watch) : path;
}

std::optional<std::filesystem::path> FindModelHere(const std::filesystem::path& path) {
  if (path.empty()) return DefaultModelPath();
  if (!hub::IsHubPath(path.string())) return path;
  return hub::FindInCache(hub::ParseRepoSpec(path.string()), hub::SettingsFromEnvironment());
}

std::unique_ptr<Tokenizer> OpenTokenizer(const RuntimeOptions& options) {
  if (!options.tokenizer_path.empty()) return LoadTokenizer(options.tokenizer_path);
  return LoadTokenizer(
      {}, OpenCheckpoint(ResolveModelPath(options.model_path, options.download), {.metadata_only = true}));
}

std::unique_ptr<Runtime> Runtime::Load(const RuntimeOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  std::unique_ptr<Runtime> runtime(new Runtime);
  runtime->options_ = options;
  runtime->options_.model_path = ResolveModelPath(options.model_path, options.download);
  runtime->options_.experts.mapped = options.use_mmap;
  const bool f32 = options.precision == Precision::kF32 || options.executor == ExecutorKind::kReference;
  runtime->checkpoint_ =
      OpenCheckpoint(runtime->options_.model_path, {.convert_to = f32 ? DType::kF32 : DType::kBF16});
  if (options.yarn_truncate) runtime->checkpoint_.config.rope.truncate = true;
  if (options.executor != ExecutorKind::kReference)
    runtime->experts_ = std::make_unique<ExpertMemory>(runtime->options_.experts, runtime->checkpoint_);
  if (options.executor != ExecutorKind::kReference) runtime->PackDense();
  runtime->executor_ = MakeExecutor(options, runtime->checkpoint_, runtime->experts_.get(), runtime->packed_);
  runtime->OwnWhatIsRead();
  runtime->ArrangeWhatIsOwn();
  const EngineOptions engine{.chunk_tokens = options.chunk_tokens, .speculation = options.speculation};
  runtime->engine_ = std::make_unique<Engine>(*runtime->executor_, engine);
  if (ExpertMemory* experts = runtime->experts_.get())
    runtime->engine_->AfterEachStep([experts] { experts->cleaner().AfterStep(); });
  const std::chrono::duration<double, std::milli> elapsed = std::chrono::steady_clock::now() - start;
  runtime->load_ms_ = elapsed.count();
  return runtime;
}

void Runtime::PackDense() {
  if (!options_.pack_dense && options_.packed_weights.empty()) return;
  const auto start = std::chrono::steady_clock::now();
  ThreadTeam team(ThreadsOf(options_));
  if (options_.packed_weights.empty()) {
    PackedDense::RequireCandidates(checkpoint_.weights);
    packed_ = std::make_shared<const PackedDense>(checkpoint_.weights, team, options_.packing_progress);
  } else {
    packed_ = OpenPackedFile(options_.packed_weights, checkpoint_, PackedFileCheck::kValues, team,
                             options_.comparing_progress);
  }
  const std::chrono::duration<double, std::milli> elapsed = std::chrono::steady_clock::now() - start;
  packing_ms_ = elapsed.count();
}

// Parts of the files that nobody computes with: values that were converted, or that are read packed.
std::vector<std::span<const std::byte>> Runtime::Unread() const {
  std::vector<std::span<const std::byte>> unread = checkpoint_.converted.sources;
  if (packed_ != nullptr) {
    const auto packed = UnreadBesidePacked(checkpoint_.weights, *packed_);
    unread.insert(unread.end(), packed.begin(), packed.end());
  }
  return unread;
}

// After everything that reads a weight once, to convert or pack it: those need no memory of ours.
void Runtime::OwnWhatIsRead() {
  const ExpertStore* store = experts_ != nullptr ? experts_->store() : nullptr;
  if (options_.use_mmap && store == nullptr) return;
  OwnedWeights what{
      .model = checkpoint_.path.string(),
      .unread = Unread(),
      .beside_bytes = kHeapBytes,
      .remedy = "leave out --use-mmap=false: mapped weights need not all be in memory (--dry-run says more)",
      .progress = options_.reading_progress};
  if (store != nullptr) {
    const auto experts = store->map().stored_parts();
    what.unread.insert(what.unread.end(), experts.begin(), experts.end());
    what.beside_bytes += store->slots() * store->slot_bytes();
    const bool least = store->slots() <= options_.experts.ExpertsPerToken(checkpoint_.config);
    what.remedy = fmt::format("{}: mapped weights need not all be in memory (--dry-run says more)",
                              least ? "leave out --expert-memory, which is the least already"
                                    : "give a smaller --expert-memory, or none");
  }
  OwnWeights(checkpoint_.files, what);
}

// Weights that are mapped, or that a store reads, stay as stored.
void Runtime::ArrangeWhatIsOwn() {
  if (options_.executor == ExecutorKind::kReference) return;
  const bool store = experts_->store() != nullptr;
  if (options_.use_mmap && !store) return;
  Arrangements best = BestArrangements(checkpoint_.weights, CpuOptionsOf(options_, checkpoint_));
  if (store) best.experts = Arrangement::kAsStored;
  if (best.dense == Arrangement::kAsStored && best.experts == Arrangement::kAsStored) return;
  const auto start = std::chrono::steady_clock::now();
  ThreadTeam team(ThreadsOf(options_));
  for (MappedFile& file : checkpoint_.files) file.LetOwnedBeWritten(true);
  arranged_bytes_ = ArrangeWeights(best, checkpoint_.weights, team, options_.arranging_progress);
  for (MappedFile& file : checkpoint_.files) file.LetOwnedBeWritten(false);
  if (arranged_bytes_ > 0) arrangement_ = best.experts != Arrangement::kAsStored ? best.experts : best.dense;
  const std::chrono::duration<double, std::milli> elapsed = std::chrono::steady_clock::now() - start;
  arranging_ms_ = elapsed.count();
}

void Runtime::ReadAhead(const std::function<bool(int64_t done, int64_t total)>& progress) const {
  if (experts_ != nullptr) experts_->ReadAhead(Unread(), progress);
}

const Tokenizer& Runtime::tokenizer() {
  if (!tokenizer_) {
    tokenizer_ = LoadTokenizer(options_.tokenizer_path, checkpoint_);
    if (tokenizer_->vocab_size() > checkpoint_.config.vocab_size) {
      Fail(ErrorKind::kBadFile,
           "the tokenizer has ids up to {}, the model's vocab_size is {}: they do not belong together",
           tokenizer_->vocab_size() - 1, checkpoint_.config.vocab_size);
    }
  }
  return *tokenizer_;
}

const HarmonyTokens& Runtime::harmony() {
  if (!harmony_) harmony_ = HarmonyTokens::Resolve(tokenizer());
  return *harmony_;
}

std::shared_ptr<const TokenMask> Runtime::sampling_mask() {
  if (!mask_) {
    mask_ = std::make_shared<TokenMask>(checkpoint_.config.vocab_size, false);
    for (int32_t id = 0; id < tokenizer().vocab_size(); ++id)
      mask_->Set(id, tokenizer().TokenBytes(id).has_value());
  }
  return mask_;
}

}  // namespace oxidized
