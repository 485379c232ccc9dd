#include "model_host/loaded_model.h"

#include <chrono>

#include "base/error.h"
#include "base/process.h"
#include "checkpoint/checkpoint_tokenizer.h"
#include "model_host/model_paths.h"
#include "tokenizer/o200k.h"

namespace oxidized {
namespace {

// A path, or the name of the built-in tokenizer where no file is called so.
std::unique_ptr<Tokenizer> LoadTokenizer(const std::filesystem::path& path) {
  std::error_code ignored;
  const bool built_in = path == kBuiltInTokenizer && !std::filesystem::exists(path, ignored);
  return built_in ? Tokenizer::BuiltIn() : Tokenizer::Load(path);
}

std::unique_ptr<Tokenizer> LoadTokenizer(const std::filesystem::path& path, const Checkpoint& checkpoint) {
  if (!path.empty()) return LoadTokenizer(path);
  if (std::unique_ptr<Tokenizer> own = TokenizerOf(checkpoint)) return own;
  throw Error(
      ErrorKind::kBadFile,
      {.setting = Setting::kTokenizerPath,
       .component = checkpoint.path.string(),
       .found = fmt::format("no tokenizer.json or rank file beside the model, and its {} rows are not "
                            "the {} of {}",
                            checkpoint.config.vocab_size, kHarmonyIds, kBuiltInTokenizer)});
}

}  // namespace

std::shared_ptr<const LoadedModel> LoadedModel::Load(const LoadOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  const std::shared_ptr<LoadedModel> model(new LoadedModel);
  model->decoded_to_ = options.decode_to;
  model->checkpoint_ = OpenCheckpoint(ResolveModelPath(options.model_path, options.download),
                                      {.decode_to = options.decode_to});
  if (options.yarn_truncate) model->checkpoint_.config.rope.truncate = true;
  const std::chrono::duration<double, std::milli> elapsed = std::chrono::steady_clock::now() - start;
  model->opening_ms_ = elapsed.count();
  if (options.text != TextParts::kNone) model->LoadText(options);
  return model;
}

void LoadedModel::LoadText(const LoadOptions& options) {
  // Its tables are many small pieces of the heap: what the heap grew by is what they take.
  const int64_t heap_before = HeapBytes();
  tokenizer_ = LoadTokenizer(options.tokenizer_path, checkpoint_);
  tokenizer_memory_ = MemoryRegistration("tokenizer", MemoryClass::kTokenizer, HeapBytes() - heap_before);
  if (tokenizer_->vocab_size() > config().vocab_size) {
    Fail(ErrorKind::kBadFile,
         "the tokenizer has ids up to {}, the model's vocab_size is {}: they do not belong together",
         tokenizer_->vocab_size() - 1, config().vocab_size);
  }
  const auto mask = std::make_shared<TokenMask>(config().vocab_size, false);
  for (int32_t id = 0; id < tokenizer_->vocab_size(); ++id)
    mask->Set(id, tokenizer_->TokenBytes(id).has_value());
  mask_ = mask;
  if (options.text == TextParts::kChat) harmony_ = HarmonyTokens::Resolve(*tokenizer_);
}

const Tokenizer& LoadedModel::tokenizer() const {
  OX_CHECK(tokenizer_ != nullptr);
  return *tokenizer_;
}

std::shared_ptr<const TokenMask> LoadedModel::sampling_mask() const {
  OX_CHECK(mask_ != nullptr);
  return mask_;
}

const HarmonyTokens& LoadedModel::harmony() const {
  OX_CHECK(harmony_.has_value());
  return *harmony_;
}

std::unique_ptr<Tokenizer> OpenTokenizer(const std::filesystem::path& tokenizer_path,
                                         const std::filesystem::path& model_path,
                                         const hub::PullWatch& download) {
  if (!tokenizer_path.empty()) return LoadTokenizer(tokenizer_path);
  return LoadTokenizer({}, OpenCheckpoint(ResolveModelPath(model_path, download), {.metadata_only = true}));
}

}  // namespace oxidized
