#include "model/model_config.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/printable.h"

namespace oxidized {

int32_t ModelConfig::most_experts() const {
  int32_t most = 0;
  for (const LayerConfig& layer : layers) most = std::max(most, layer.num_experts);
  return most;
}

int32_t ModelConfig::least_experts() const {
  int32_t least = most_experts();
  for (const LayerConfig& layer : layers) least = std::min(least, layer.num_experts);
  return least;
}

int64_t ModelConfig::all_experts() const {
  int64_t sum = 0;
  for (const LayerConfig& layer : layers) sum += layer.num_experts;
  return sum;
}

int32_t ModelConfig::shortest_window() const {
  int32_t shortest = 0;
  for (const LayerConfig& layer : layers) {
    if (layer.slides() && (shortest == 0 || *layer.window < shortest)) shortest = *layer.window;
  }
  return shortest;
}

bool ModelConfig::layers_alike() const {
  return std::all_of(layers.begin(), layers.end(), [&](const LayerConfig& layer) {
    return layer.num_experts == layers.front().num_experts &&
           (!layer.slides() || *layer.window == shortest_window());
  });
}

std::vector<LayerConfig> UniformLayers(const std::vector<bool>& slides, int32_t window, int32_t num_experts) {
  std::vector<LayerConfig> layers;
  for (const bool sliding : slides)
    layers.push_back({sliding ? std::optional(window) : std::nullopt, num_experts});
  return layers;
}

std::vector<LayerConfig> AlternatingLayers(int32_t num_layers, int32_t window, int32_t num_experts) {
  constexpr int32_t kMostLayers = 1024;
  std::vector<bool> slides;
  for (int32_t i = 0; i < std::min(num_layers, kMostLayers); ++i) slides.push_back(i % 2 == 0);
  return UniformLayers(slides, window, num_experts);
}

void ValidateConfig(const ModelConfig& c, const std::string& source) {
  const auto require = [&](bool sound, const std::string& what) {
    if (!sound) Fail(ErrorKind::kBadFile, "{}: {}", source, what);
  };
  const auto in_range = [&](const char* field, int64_t value, int64_t low, int64_t high) {
    require(value >= low && value <= high,
            fmt::format("{} is {}, expected {} to {}", field, value, low, high));
  };
  // The upper bounds are far beyond any real model; they keep products of dimensions inside 63 bits.
  in_range("num_hidden_layers", c.num_layers, 1, 1024);
  in_range("hidden_size", c.hidden_size, 1, 1 << 20);
  in_range("num_attention_heads", c.num_heads, 1, 1 << 14);
  in_range("num_key_value_heads", c.num_kv_heads, 1, 1 << 14);
  in_range("head_dim", c.head_dim, 2, 1 << 12);
  for (const LayerConfig& layer : c.layers) in_range("num_local_experts", layer.num_experts, 1, 1 << 14);
  if (!c.layers.empty()) in_range("num_experts_per_tok", c.experts_per_token, 1, c.least_experts());
  in_range("intermediate_size", c.expert_width, 1, 1 << 20);
  in_range("vocab_size", c.vocab_size, 1, 1 << 24);
  for (const LayerConfig& layer : c.layers) {
    if (layer.slides()) in_range("sliding_window", *layer.window, 1, int64_t{1} << 30);
  }
  in_range("max_position_embeddings", c.max_context, 1, int64_t{1} << 30);
  require(c.head_dim % 2 == 0,
          fmt::format("head_dim is {}, expected an even number (rotary pairs)", c.head_dim));
  require(c.num_heads % c.num_kv_heads == 0,
          fmt::format("num_attention_heads {} is not a multiple of num_key_value_heads {}", c.num_heads,
                      c.num_kv_heads));
  require(c.hidden_size % 32 == 0,
          fmt::format("hidden_size is {}, expected a multiple of 32", c.hidden_size));
  require(c.expert_width % 32 == 0,
          fmt::format("intermediate_size is {}, expected a multiple of 32", c.expert_width));
  require(static_cast<int32_t>(c.layers.size()) == c.num_layers,
          fmt::format("layer_types has {} for {}", Counted(c.layers.size(), "entry"),
                      Counted(c.num_layers, "layer")));
  require(std::isfinite(c.rms_norm_eps) && c.rms_norm_eps > 0.0f, "rms_norm_eps must be positive");
  require(std::isfinite(c.swiglu_limit) && c.swiglu_limit > 0.0f, "swiglu_limit must be positive");
  require(std::isfinite(c.swiglu_alpha) && c.swiglu_alpha > 0.0f, "swiglu_alpha must be positive");
  require(std::isfinite(c.rope.theta) && c.rope.theta > 1.0, "rope_theta must be above 1");
  require(std::isfinite(c.rope.factor) && c.rope.factor >= 1.0, "the rope scaling factor must be at least 1");
  require(std::isfinite(c.rope.beta_fast) && std::isfinite(c.rope.beta_slow) && c.rope.beta_slow > 0.0 &&
              c.rope.beta_fast >= c.rope.beta_slow,
          "rope scaling needs beta_fast >= beta_slow > 0");
  require(c.rope.original_context > 0, "original_max_position_embeddings must be positive");
  require(std::isfinite(c.rope.attention_factor) && c.rope.attention_factor >= 0.0,
          "the rope attention_factor must be positive");
}

}  // namespace oxidized
