#include "rewrite/original_layout.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "checkpoint/json_file.h"

namespace oxidized {
namespace {

using Json = nlohmann::ordered_json;

// What the form has no field for; OpenAI's code has it as constants.
void RequireExpressible(const ModelConfig& c) {
  const ModelConfig usual;
  const auto require = [](bool holds, const char* what, auto found, auto expected) {
    if (holds) return;
    Fail(ErrorKind::kUnsupported,
         "OpenAI's original/ form has no field for {}: this model's is {}, expected {}", what, found,
         expected);
  };
  require(c.rms_norm_eps == usual.rms_norm_eps, "rms_norm_eps", c.rms_norm_eps, usual.rms_norm_eps);
  require(c.swiglu_alpha == usual.swiglu_alpha, "swiglu_alpha", c.swiglu_alpha, usual.swiglu_alpha);
  require(!c.rope.truncate, "rope truncation", true, false);
  require(c.rope.attention_factor == 0.0, "the rotation's attention factor", c.rope.attention_factor,
          "the one that YaRN derives");
  const double context = c.rope.factor * static_cast<double>(c.rope.original_context);
  require(static_cast<double>(c.max_context) == context, "the longest context", c.max_context, context);
  for (size_t i = 0; i < c.layers.size(); ++i) {
    const bool sliding = c.layers[i] == LayerKind::kSliding;
    require(sliding == (i % 2 == 0), "which layers slide", fmt::format("another one at layer {}", i),
            "every even layer");
  }
}

// 32 as a whole number where the published file has it so, 32.0 elsewhere.
Json Whole(double value) {
  return value == static_cast<double>(static_cast<int64_t>(value)) ? Json(static_cast<int64_t>(value))
                                                                   : Json(value);
}

}  // namespace

std::string OriginalConfigJson(const ModelConfig& c) {
  RequireExpressible(c);
  Json config;
  config["num_hidden_layers"] = c.num_layers;
  config["num_experts"] = c.num_experts;
  config["experts_per_token"] = c.experts_per_token;
  config["vocab_size"] = c.vocab_size;
  config["hidden_size"] = c.hidden_size;
  config["intermediate_size"] = c.expert_width;
  config["swiglu_limit"] = ShortestDecimal(c.swiglu_limit);
  config["head_dim"] = c.head_dim;
  config["num_attention_heads"] = c.num_heads;
  config["num_key_value_heads"] = c.num_kv_heads;
  config["sliding_window"] = c.sliding_window;
  config["initial_context_length"] = c.rope.original_context;
  config["rope_theta"] = Whole(c.rope.theta);
  config["rope_scaling_factor"] = c.rope.factor;
  config["rope_ntk_alpha"] = Whole(c.rope.beta_slow);
  config["rope_ntk_beta"] = Whole(c.rope.beta_fast);
  return config.dump(2) + "\n";
}

std::string OriginalDtypesJson(const std::vector<LayoutTensor>& tensors) {
  Json types = Json::object();
  for (const LayoutTensor& tensor : tensors) {
    types[tensor.spec.name] = tensor.piece == ExpertPiece::kBlocks   ? "FP4"
                              : tensor.piece == ExpertPiece::kScales ? "UE8"
                                                                     : Name(tensor.spec.dtype);
  }
  return types.dump(2) + "\n";
}

}  // namespace oxidized
