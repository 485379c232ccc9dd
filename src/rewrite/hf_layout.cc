#include "rewrite/hf_layout.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "checkpoint/json_file.h"
#include "rewrite/tensor_layout.h"

namespace oxidized {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

std::vector<TensorSpec> PublishedTensors(const ModelConfig& c) {
  std::vector<TensorSpec> tensors;
  for (LayoutTensor& tensor : LayoutOf(c, CheckpointFormat::kHuggingFace, {})) {
    tensors.push_back(std::move(tensor.spec));
  }
  return tensors;
}

std::string PublishedConfigJson(const ModelConfig& c) {
  Json layer_types = Json::array();
  for (const LayerKind kind : c.layers) {
    layer_types.push_back(kind == LayerKind::kSliding ? "sliding_attention" : "full_attention");
  }
  Json config;
  config["architectures"] = {"GptOssForCausalLM"};
  config["attention_bias"] = true;
  config["attention_dropout"] = 0.0;
  if (!c.eos_token_ids.empty()) config["eos_token_id"] = c.eos_token_ids.front();
  config["experts_per_token"] = c.experts_per_token;
  config["head_dim"] = c.head_dim;
  config["hidden_act"] = "silu";
  config["hidden_size"] = c.hidden_size;
  config["initial_context_length"] = c.rope.original_context;
  config["initializer_range"] = 0.02;
  config["intermediate_size"] = c.expert_width;
  config["layer_types"] = std::move(layer_types);
  config["max_position_embeddings"] = c.max_context;
  config["model_type"] = "gpt_oss";
  config["num_attention_heads"] = c.num_heads;
  config["num_experts_per_tok"] = c.experts_per_token;
  config["num_hidden_layers"] = c.num_layers;
  config["num_key_value_heads"] = c.num_kv_heads;
  config["num_local_experts"] = c.num_experts;
  config["output_router_logits"] = false;
  if (c.pad_token_id >= 0) config["pad_token_id"] = c.pad_token_id;
  config["quantization_config"] = {
      {"modules_to_not_convert",
       {"model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"}},
      {"quant_method", "mxfp4"}};
  config["rms_norm_eps"] = ShortestDecimal(c.rms_norm_eps);
  config["rope_scaling"] = {
      {"beta_fast", c.rope.beta_fast}, {"beta_slow", c.rope.beta_slow},
      {"factor", c.rope.factor},       {"original_max_position_embeddings", c.rope.original_context},
      {"rope_type", "yarn"},           {"truncate", c.rope.truncate}};
  if (c.rope.attention_factor != 0.0) config["rope_scaling"]["attention_factor"] = c.rope.attention_factor;
  config["rope_theta"] = c.rope.theta;
  config["router_aux_loss_coef"] = 0.9;
  config["sliding_window"] = c.sliding_window;
  if (c.swiglu_alpha != ModelConfig{}.swiglu_alpha) config["swiglu_alpha"] = ShortestDecimal(c.swiglu_alpha);
  config["swiglu_limit"] = ShortestDecimal(c.swiglu_limit);
  config["tie_word_embeddings"] = false;
  config["transformers_version"] = "4.55.0.dev0";
  config["use_cache"] = true;
  config["vocab_size"] = c.vocab_size;
  return config.dump(2) + "\n";
}

std::string PublishedGenerationConfigJson(const ModelConfig& c, int32_t bos_token_id) {
  Json config;
  if (bos_token_id >= 0) config["bos_token_id"] = bos_token_id;
  config["do_sample"] = true;
  if (!c.eos_token_ids.empty()) config["eos_token_id"] = c.eos_token_ids;
  if (c.pad_token_id >= 0) config["pad_token_id"] = c.pad_token_id;
  config["transformers_version"] = "4.55.0.dev0";
  return config.dump(2) + "\n";
}

}  // namespace oxidized
