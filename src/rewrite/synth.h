// Random checkpoints of true shape, for tests and measurements without the published weights.
//
// The values are made as in the published form, bf16 and MXFP4; the other formats hold the same values.
// Sane scale: activations stay of order 1, logits are finite and spread over a few units, routers use all
// experts. A value depends on (seed, tensor name, element) alone: the same files from any number of threads.
// Called by the CLI.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "model/model_config.h"
#include "rewrite/tensor_layout.h"
#include "rewrite/weight_source.h"
#include "rewrite/writer.h"

namespace oxidized {

struct SynthOptions {
  std::string preset;                 // one of SynthPresetNames()
  std::optional<int32_t> num_layers;  // instead of the preset's
  uint64_t seed = 0;
  CheckpointFormat format = CheckpointFormat::kHuggingFace;
  LayoutTypes types;
  std::filesystem::path out;  // GGUF: a file that does not exist; else no such folder, or an empty one
  // tokenizer.json or *.tiktoken, copied or put into the GGUF file; gives the special ids of the
  // configuration. Empty: none, or the built-in o200k_harmony for GGUF of a published shape.
  std::filesystem::path tokenizer_source;
  int threads = 2;
  std::function<void(int64_t done_bytes, int64_t total_bytes)> progress;  // may be empty
};

std::span<const std::string_view> SynthPresetNames();
ModelConfig SynthConfig(
    const SynthOptions& options);  // throws Error(kUsage) for an unknown preset, bad num_layers

// What a tensor of the checkpoint holds: bytes [offset, offset + out.size()), offset a multiple of 16.
FillTensor SynthFill(const ModelConfig& config, uint64_t seed);

// Returns the bytes of all tensors. Throws like WriteModel, and Error(kUsage).
int64_t Synthesize(const SynthOptions& options);

}  // namespace oxidized
