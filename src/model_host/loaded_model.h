// A model opened: its checkpoint, its tokenizer and what follows from both. Made once and never changed, so
// that any number of engines on any devices, and any number of threads, share one. No device is opened here,
// and nothing of the weights is read.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "base/memory_registry.h"
#include "checkpoint/checkpoint.h"
#include "harmony/tokens.h"
#include "hub/pull.h"
#include "sampling/sampler.h"
#include "tokenizer/tokenizer.h"

namespace oxidized {

// Names the vocabulary that is part of the program where a tokenizer's path is expected.
inline constexpr const char* kBuiltInTokenizer = "o200k_harmony";

// What of the text side is wanted: a model without a tokenizer still has logits, and a tokenizer without
// Harmony's special tokens still completes a text.
enum class TextParts : uint8_t { kNone, kTokens, kChat };

struct LoadOptions {
  std::filesystem::path model_path;      // see ResolveModelPath
  std::filesystem::path tokenizer_path;  // empty: the model's own; kBuiltInTokenizer: the built-in one
  TextParts text = TextParts::kChat;
  DType decode_to = DType::kBF16;  // DeviceRow::decoded_to of the devices to come
  // The rotation as llama.cpp computes it (RopeConfig::truncate), for comparisons.
  bool yarn_truncate = false;
  hub::PullWatch download = {};  // told when model_path has to be fetched first
};

class LoadedModel {
 public:
  // Throws Error(kBadFile): the model or its tokenizer, or they do not fit; kNetwork; Interrupted.
  static std::shared_ptr<const LoadedModel> Load(const LoadOptions& options);

  const Checkpoint& checkpoint() const { return checkpoint_; }
  const ModelConfig& config() const { return checkpoint_.config; }
  DType decoded_to() const { return decoded_to_; }
  double opening_ms() const { return opening_ms_; }  // of the checkpoint

  // Of a model loaded with kTokens or kChat.
  const Tokenizer& tokenizer() const;
  // Ids that may be sampled: those that the tokenizer can decode. A model has rows for ids that stand for
  // nothing.
  std::shared_ptr<const TokenMask> sampling_mask() const;
  // Of a model loaded with kChat.
  const HarmonyTokens& harmony() const;

 private:
  LoadedModel() = default;
  void LoadText(const LoadOptions& options);

  Checkpoint checkpoint_;
  DType decoded_to_ = DType::kBF16;
  double opening_ms_ = 0.0;
  std::unique_ptr<const Tokenizer> tokenizer_;
  std::shared_ptr<const TokenMask> mask_;
  std::optional<HarmonyTokens> harmony_;
  MemoryRegistration tokenizer_memory_;
};

// The tokenizer alone: with a tokenizer path no model is opened. Throws Error(kBadFile).
std::unique_ptr<Tokenizer> OpenTokenizer(const std::filesystem::path& tokenizer_path,
                                         const std::filesystem::path& model_path,
                                         const hub::PullWatch& download);

}  // namespace oxidized
