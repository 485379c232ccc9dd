// Random checkpoints of true shape in the published form, for tests and measurements without the published
// weights.
//
// Sane scale: activations stay of order 1, logits are finite and spread over a few units, routers use all
// experts. A value depends on (seed, tensor name, element) alone: the same files from any number of threads.
// Called by the CLI.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "checkpoint/hf_writer.h"
#include "model/model_config.h"

namespace oxidized {

struct SynthOptions {
  std::string preset;                 // one of SynthPresetNames()
  std::optional<int32_t> num_layers;  // instead of the preset's
  uint64_t seed = 0;
  std::filesystem::path out;  // must not exist, or be an empty folder
  // tokenizer.json or *.tiktoken, copied; gives the special ids of the configuration. Empty: none.
  std::filesystem::path tokenizer_source;
  int threads = 2;
  std::function<void(int64_t done_bytes, int64_t total_bytes)> progress;  // may be empty
};

std::span<const std::string_view> SynthPresetNames();
ModelConfig SynthConfig(
    const SynthOptions& options);  // throws Error(kUsage) for an unknown preset, bad num_layers

// What a tensor of the checkpoint holds: bytes [offset, offset + out.size()), offset a multiple of 16.
std::function<void(const TensorSpec&, int64_t offset, std::span<std::byte> out)> SynthFill(
    const ModelConfig& config, uint64_t seed);

// Returns the bytes of all tensors. Throws like WriteHfCheckpoint, and Error(kUsage).
int64_t Synthesize(const SynthOptions& options);

}  // namespace oxidized
