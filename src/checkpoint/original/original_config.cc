#include "checkpoint/original/original_config.h"

#include <cmath>

#include "checkpoint/hf/safetensors.h"
#include "checkpoint/json_fields.h"
#include "checkpoint/json_file.h"
#include "checkpoint/refusals.h"
#include "tokenizer/o200k.h"

namespace oxidized {

bool IsOriginalConfig(std::string_view json, const std::string& name) {
  const nlohmann::json parsed = ParseSmallJson(json, name);
  return !parsed.contains("model_type") && parsed.contains("num_experts");
}

ModelConfig ParseOriginalConfig(std::string_view json, const std::string& name) {
  const nlohmann::json parsed = ParseSmallJson(json, name);
  const JsonFields fields(parsed, name + ": ");
  ModelConfig model;
  model.num_layers = fields.RequiredInteger<int32_t>("num_hidden_layers");
  model.hidden_size = fields.RequiredInteger<int32_t>("hidden_size");
  model.num_heads = fields.RequiredInteger<int32_t>("num_attention_heads");
  model.num_kv_heads = fields.RequiredInteger<int32_t>("num_key_value_heads");
  model.head_dim = fields.RequiredInteger<int32_t>("head_dim");
  const auto num_experts = fields.RequiredInteger<int32_t>("num_experts");
  model.experts_per_token = fields.RequiredInteger<int32_t>("experts_per_token");
  model.expert_width = fields.RequiredInteger<int32_t>("intermediate_size");
  model.vocab_size = fields.RequiredInteger<int32_t>("vocab_size");
  const int32_t window = fields.Integer<int32_t>("sliding_window").value_or(kPublishedWindow);
  model.swiglu_limit = static_cast<float>(fields.Number("swiglu_limit").value_or(7.0));
  RopeConfig& rope = model.rope;
  rope.theta = fields.Number("rope_theta").value_or(rope.theta);
  rope.factor = fields.Number("rope_scaling_factor").value_or(rope.factor);
  rope.original_context = fields.Integer<int64_t>("initial_context_length").value_or(rope.original_context);
  rope.beta_slow = fields.Number("rope_ntk_alpha").value_or(rope.beta_slow);
  rope.beta_fast = fields.Number("rope_ntk_beta").value_or(rope.beta_fast);
  const double context = std::round(rope.factor * static_cast<double>(rope.original_context));
  if (!(context >= 1 && context <= std::numeric_limits<int32_t>::max())) {
    Fail(ErrorKind::kBadFile, "{}: rope_scaling_factor times initial_context_length is {}, expected 1 to {}",
         name, context, std::numeric_limits<int32_t>::max());
  }
  model.max_context = static_cast<int64_t>(context);
  model.layers = AlternatingLayers(model.num_layers, window, num_experts);
  // The published vocabulary is o200k_harmony; its ids are those of the Hugging Face files.
  constexpr int32_t kReturn = 200'002, kEndOfText = 199'999, kCall = 200'012;
  if (model.vocab_size >= kHarmonyIds) {  // more: padded rows
    model.eos_token_ids = {kReturn, kEndOfText, kCall};
    model.pad_token_id = kEndOfText;
  }
  ValidateConfig(model, name);
  return model;
}

OriginalDtypes ParseOriginalDtypes(std::string_view json, const std::string& name) {
  const nlohmann::json parsed = ParseSmallJson(json, name);
  OriginalDtypes types;
  for (const auto& [tensor, type] : parsed.items()) {
    if (tensor.size() > kMaxTensorNameBytes) {
      Fail(ErrorKind::kBadFile, "{}: a tensor name of {} bytes, expected at most {}", name, tensor.size(),
           kMaxTensorNameBytes);
    }
    const std::string text = type.is_string() ? type.get<std::string>() : "";
    if (text.starts_with("FP8") || text.starts_with("F8_E")) RefuseFp8(name, tensor, text);
    if (text != "FP4" && text != "UE8" && text != "BF16" && text != "F16" && text != "F32") {
      Fail(ErrorKind::kBadFile,
           "{}: the type of {} is {}, expected \"FP4\", \"UE8\", \"BF16\", \"F16\" or \"F32\"", name,
           Quoted(tensor), type.is_string() ? Quoted(text) : "no string");
    }
    types.emplace(tensor, text == "FP4"   ? OriginalType::kFp4
                          : text == "UE8" ? OriginalType::kUe8
                                          : OriginalType::kFloat);
  }
  return types;
}

}  // namespace oxidized
