#include "checkpoint/hf/hf_weights.h"

#include <fmt/core.h>

#include "base/log.h"
#include "checkpoint/refusals.h"
#include "checkpoint/tensor_binder.h"

namespace oxidized {
namespace {

// `name`: "model.layers.0.mlp.experts.gate_up_proj"; maps cols to rows.
std::vector<ExpertView> BindExperts(TensorBinder& binder, const HfConfig& config, const std::string& name,
                                    int64_t experts_of_layer, int64_t rows, int64_t cols,
                                    HfWeights& weights) {
  std::vector<ExpertView> experts =
      binder.Experts({name + "_blocks", name + "_scales", name, ExpertLayout::kTransposed, name + "_bias"},
                     experts_of_layer, rows, cols, config.claims_mxfp4);
  if (!experts.empty())
    (experts[0].layout == ExpertLayout::kMxfp4 ? weights.mxfp4 : weights.transposed) = true;
  return experts;
}

LayerWeights BindLayer(TensorBinder& binder, const HfConfig& config, const std::string& layer,
                       int64_t experts, HfWeights& weights) {
  const ModelConfig& c = config.model;
  const std::string attention = layer + "self_attn.";
  const std::string mlp = layer + "mlp.";
  LayerWeights w;
  w.attention_norm = binder.Vector(layer + "input_layernorm.weight", c.hidden_size);
  w.q = binder.Matrix(attention + "q_proj.weight", c.query_width(), c.hidden_size);
  w.k = binder.Matrix(attention + "k_proj.weight", c.kv_width(), c.hidden_size);
  w.v = binder.Matrix(attention + "v_proj.weight", c.kv_width(), c.hidden_size);
  w.q_bias = binder.Vector(attention + "q_proj.bias", c.query_width());
  w.k_bias = binder.Vector(attention + "k_proj.bias", c.kv_width());
  w.v_bias = binder.Vector(attention + "v_proj.bias", c.kv_width());
  w.sinks = binder.Vector(attention + "sinks", c.num_heads);
  w.o = binder.Matrix(attention + "o_proj.weight", c.hidden_size, c.query_width());
  w.o_bias = binder.Vector(attention + "o_proj.bias", c.hidden_size);
  w.mlp_norm = binder.Vector(layer + "post_attention_layernorm.weight", c.hidden_size);
  w.router = binder.Matrix(mlp + "router.weight", experts, c.hidden_size);
  w.router_bias = binder.Vector(mlp + "router.bias", experts);
  w.gate_up = BindExperts(binder, config, mlp + "experts.gate_up_proj", experts, int64_t{2} * c.expert_width,
                          c.hidden_size, weights);
  w.down =
      BindExperts(binder, config, mlp + "experts.down_proj", experts, c.hidden_size, c.expert_width, weights);
  return w;
}

}  // namespace

HfWeights BindHfWeights(const HfConfig& config, const ModelFiles& files, const std::string& source) {
  RefuseForeignTensors(files, source);
  const ModelConfig& c = config.model;
  TensorBinder binder(files, source);
  HfWeights weights;
  weights.view.embedding = binder.Matrix("model.embed_tokens.weight", c.vocab_size, c.hidden_size);
  for (int32_t layer = 0; layer < c.num_layers; ++layer) {
    weights.view.layers.push_back(BindLayer(binder, config, fmt::format("model.layers.{}.", layer),
                                            c.layer(layer).num_experts, weights));
  }
  weights.view.final_norm = binder.Vector("model.norm.weight", c.hidden_size);
  const bool separate = binder.Has("lm_head.weight");
  const bool tied = config.tied_embeddings && !separate;
  if (config.tied_embeddings && separate) {  // transformers 5 decides and warns alike
    Log(LogLevel::kWarning,
        "{}: tie_word_embeddings is true, but lm_head.weight is there too: it is used and not tied", source);
  }
  weights.view.unembedding =
      tied ? weights.view.embedding : binder.Matrix("lm_head.weight", c.vocab_size, c.hidden_size);
  binder.ThrowIfBroken();
  binder.WarnOfUnused();
  return weights;
}

}  // namespace oxidized
