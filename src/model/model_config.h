// The shape of a gpt-oss model: everything a checkpoint's config says that the forward pass depends on, in
// one place.
//
// Filled by checkpoint/ from any file format; ValidateConfig is the single place that knows what a sound
// config is. Dimension letters used everywhere: L layers, M model width, H query heads, G KV heads, D head
// size, E experts (of a layer), K experts per token, F expert width, V vocabulary.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace oxidized {

// What may differ from layer to layer. Published models alternate two windows and have one number of experts;
// others (nvidia/gpt-oss-puzzle-88B) mix several of both, so whoever wants one asks for its layer.
struct LayerConfig {
  std::optional<int32_t> window;  // keys a query sees, itself included; nullopt: all
  int32_t num_experts = 0;        // E of this layer

  bool slides() const { return window.has_value(); }
  bool operator==(const LayerConfig&) const = default;
};

// Rotary embedding with YaRN scaling (Peng et al. 2023) as gpt-oss uses it. factor 1 is plain RoPE.
struct RopeConfig {
  double theta = 150000.0;
  double factor = 32.0;
  double beta_fast = 32.0;
  double beta_slow = 1.0;
  int64_t original_context = 4096;
  bool truncate = false;  // round the ramp's ends to whole dimensions (llama.cpp does; gpt-oss does not)
  double attention_factor = 0.0;  // 0: 0.1 ln(factor) + 1
};

struct ModelConfig {
  int32_t num_layers = 0;         // L
  int32_t hidden_size = 0;        // M
  int32_t num_heads = 0;          // H
  int32_t num_kv_heads = 0;       // G
  int32_t head_dim = 0;           // D
  int32_t experts_per_token = 0;  // K
  int32_t expert_width = 0;       // F
  int32_t vocab_size = 0;         // V
  int64_t max_context = 131072;   // tokens
  float rms_norm_eps = 1e-5f;
  float swiglu_alpha = 1.702f;
  float swiglu_limit = 7.0f;
  RopeConfig rope;
  std::vector<LayerConfig> layers;  // [L]

  std::vector<int32_t> eos_token_ids;  // as the files say; the stop set is the chat format's business
  int32_t pad_token_id = -1;

  const LayerConfig& layer(int32_t l) const { return layers[static_cast<size_t>(l)]; }
  // Of the layers: for buffers that any of them fits into, for what every layer can do, and their sum.
  int32_t most_experts() const;
  int32_t least_experts() const;
  int64_t all_experts() const;
  int32_t shortest_window() const;  // of the layers that slide; 0: none does
  // Whether all layers have as many experts, and all that slide the same window: what most file formats can
  // say.
  bool layers_alike() const;

  int32_t query_width() const { return num_heads * head_dim; }  // H*D, not M
  int32_t kv_width() const { return num_kv_heads * head_dim; }  // G*D
  int32_t heads_per_kv() const { return num_heads / num_kv_heads; }
};

inline constexpr int32_t kPublishedWindow = 128;  // where a config says nothing

// The layers of a model which has one window and one number of experts: layer l slides where slides[l].
std::vector<LayerConfig> UniformLayers(const std::vector<bool>& slides, int32_t window, int32_t num_experts);
// The same of every second layer sliding, layer 0 first: what a config without a list of layers means. Of a
// number of layers that ValidateConfig refuses it makes 1024 at most.
std::vector<LayerConfig> AlternatingLayers(int32_t num_layers, int32_t window, int32_t num_experts);

// Throws Error(kBadFile) naming `source`, the field, what it holds and what it must hold.
void ValidateConfig(const ModelConfig& config, const std::string& source);

}  // namespace oxidized
