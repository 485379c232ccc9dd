#include "checkpoint/hf/hf_config.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "checkpoint/json_fields.h"
#include "checkpoint/json_file.h"
#include "checkpoint/message_text.h"
#include "checkpoint/refusals.h"

namespace oxidized {
namespace {

using Json = nlohmann::json;
using Fields = JsonFields;

void RequireGptOss(const Fields& fields, const std::string& name) {
  const std::optional<std::string> type = fields.String("model_type");
  // The second is the form whose layers differ (ParseBlocks).
  if (type == "gpt_oss" || type == "gpt_oss_puzzle") return;
  const Json* architectures = fields.Find("architectures");
  const bool named = architectures != nullptr && architectures->is_array() && !architectures->empty();
  // A config that does not name a model at all is a damaged one rather than another model's.
  Fail(type || named ? ErrorKind::kUnsupported : ErrorKind::kBadFile,
       "{}: model_type is {}{}, expected \"gpt_oss\": only gpt-oss models run here", name,
       type ? Quoted(*type) : "missing",
       named ? fmt::format(" (architecture {})", JsonText((*architectures)[0])) : "");
}

bool ClaimsMxfp4(const Fields& fields) {
  for (const char* key : {"quantization_config", "quantization"}) {  // the latter is MLX's
    const std::optional<Fields> quantization = fields.Object(key);
    if (!quantization) continue;
    const std::string method = quantization->String("quant_method").value_or("");
    if (method == "mxfp4") return true;
    RefuseQuantisation(
        method,
        [&](const char* detail) -> std::string {
          const Json* value = quantization->Find(detail);
          return value == nullptr || value->is_structured() ? ""
                 : value->is_string()                       ? value->get<std::string>()
                                                            : value->dump();
        },
        quantization->where());
  }
  return false;
}

// The factor on cos and sin that YaRN derives from its optional fields (transformers modeling_rope_utils.py);
// 0 leaves it to the default rule.
double AttentionFactor(const Fields& rope, double factor) {
  if (const auto given = rope.Number("attention_factor")) return *given;
  const double mscale = rope.Number("mscale").value_or(0.0);
  const double mscale_all = rope.Number("mscale_all_dim").value_or(0.0);
  if (mscale == 0.0 || mscale_all == 0.0 || factor <= 1.0) return 0.0;
  return (0.1 * mscale * std::log(factor) + 1.0) / (0.1 * mscale_all * std::log(factor) + 1.0);
}

// One object of rotation fields, read as transformers 5 reads it: without a type there is no scaling, YaRN
// without an original length takes the context's (modeling_rope_utils.py, standardize_rope_params). Where
// that would contradict another field beside it, it is refused.
RopeConfig ParseRopeObject(const Fields& scaling, const Fields& config, int64_t max_context) {
  RopeConfig rope;
  rope.theta = config.Number("rope_theta").value_or(rope.theta);
  rope.theta = scaling.Number("rope_theta").value_or(rope.theta);
  std::optional<std::string> type = scaling.String("rope_type");
  if (!type) type = scaling.String("type");
  const std::optional<double> factor = scaling.Number("factor");
  if (!type && factor && *factor != 1.0) {
    Fail(ErrorKind::kBadFile, "{}factor is {}, but rope_type is missing: expected \"yarn\"", scaling.where(),
         *factor);
  }
  if (!type || type == "default") {
    rope.factor = 1.0;
    return rope;
  }
  if (type != "yarn") {
    Fail(ErrorKind::kUnsupported, "{}rope_type is {}, expected \"yarn\" or \"default\"", scaling.where(),
         Quoted(*type));
  }
  const std::optional<int64_t> original = scaling.Integer<int64_t>("original_max_position_embeddings");
  const std::optional<int64_t> initial = config.Integer<int64_t>("initial_context_length");
  if (!original && initial && *initial != max_context) {
    Fail(ErrorKind::kBadFile,
         "{}original_max_position_embeddings is missing: transformers takes max_position_embeddings, {}, for "
         "it, but "
         "initial_context_length is {}; write the right one there",
         scaling.where(), max_context, *initial);
  }
  rope.original_context = original.value_or(max_context);
  if (factor) {
    rope.factor = *factor;
  } else if (rope.original_context > 0) {
    rope.factor = static_cast<double>(max_context) / static_cast<double>(rope.original_context);
  }
  rope.beta_fast = scaling.Number("beta_fast").value_or(rope.beta_fast);
  rope.beta_slow = scaling.Number("beta_slow").value_or(rope.beta_slow);
  rope.truncate = scaling.Bool("truncate").value_or(false);
  rope.attention_factor = AttentionFactor(scaling, rope.factor);
  return rope;
}

// Of rope_scaling, which both read: transformers 4 takes the one beside the object, 5 the one in it.
void RefuseTwoThetas(const Fields& scaling, const Fields& config) {
  const std::optional<double> outer = config.Number("rope_theta"), inner = scaling.Number("rope_theta");
  if (!outer || !inner || *outer == *inner) return;
  Fail(ErrorKind::kBadFile, "{}rope_theta is {}, but {} beside that object: expected the same",
       scaling.where(), *inner, *outer);
}

// What two objects of one config say differently. Files that were edited by hand, or by a tool that knows one
// of the two names, carry both.
void RefuseContradiction(const RopeConfig& parameters, const RopeConfig& scaling, const std::string& where) {
  const auto refuse = [&](const char* field, const auto& a, const auto& b) {
    if (a == b) return;
    Fail(ErrorKind::kBadFile, "{}{} is {} in rope_parameters and {} in rope_scaling: expected the same",
         where, field, a, b);
  };
  refuse("rope_theta", parameters.theta, scaling.theta);
  refuse("factor", parameters.factor, scaling.factor);
  if (parameters.factor == 1.0) return;  // no scaling: the rest means nothing
  refuse("original_max_position_embeddings", parameters.original_context, scaling.original_context);
  refuse("beta_fast", parameters.beta_fast, scaling.beta_fast);
  refuse("beta_slow", parameters.beta_slow, scaling.beta_slow);
  refuse("truncate", parameters.truncate, scaling.truncate);
  refuse("attention_factor", parameters.attention_factor, scaling.attention_factor);
}

RopeConfig ParseRope(const Fields& fields, int64_t max_context) {
  const std::optional<Fields> parameters = fields.Object("rope_parameters");
  const std::optional<Fields> scaling = fields.Object("rope_scaling");
  if (parameters && scaling) {
    const RopeConfig a = ParseRopeObject(*parameters, fields, max_context);
    RefuseContradiction(a, ParseRopeObject(*scaling, fields, max_context), fields.where());
    RefuseTwoThetas(*scaling, fields);
    return a;
  }
  if (parameters) return ParseRopeObject(*parameters, fields, max_context);
  if (scaling) {
    RefuseTwoThetas(*scaling, fields);
    return ParseRopeObject(*scaling, fields, max_context);
  }
  if (fields.IsNull("rope_scaling")) {
    Fail(ErrorKind::kBadFile,
         "{}rope_scaling is null: transformers 4 reads no scaling, transformers 5 gpt-oss's own YaRN; "
         "expected an object "
         "with rope_type \"yarn\" or \"default\"",
         fields.where());
  }
  RopeConfig rope;  // the defaults are gpt-oss's own: what a config without any rope field means
  rope.theta = fields.Number("rope_theta").value_or(rope.theta);
  return rope;
}

// Which layers slide: nullopt where the config does not say.
std::optional<std::vector<bool>> ParseLayerTypes(const Fields& fields) {
  const Json* types = fields.Find("layer_types");
  if (types == nullptr) return std::nullopt;
  if (!types->is_array()) fields.Wrong("layer_types", "an array", *types);
  std::vector<bool> slides;
  for (const Json& type : *types) {
    if (type != "sliding_attention" && type != "full_attention")
      fields.Wrong("layer_types", "an array of \"sliding_attention\" and \"full_attention\"", type);
    slides.push_back(type == "sliding_attention");
  }
  return slides;
}

// `block_configs`, of models whose layers differ: for each its num_local_experts and its sliding_window, null
// where it sees everything (nvidia/gpt-oss-puzzle-88B). `layer_types` may say once more which layers slide.
std::vector<LayerConfig> ParseBlocks(const Fields& fields, const Json& blocks, const std::string& name) {
  if (!blocks.is_array()) fields.Wrong("block_configs", "an array", blocks);
  std::vector<LayerConfig> layers;
  for (const Json& block : blocks) {
    if (!block.is_object()) fields.Wrong("block_configs", "an array of objects", block);
    const Fields of_layer(block, fmt::format("{}: block_configs[{}].", name, layers.size()));
    LayerConfig& layer = layers.emplace_back();
    layer.num_experts = of_layer.RequiredInteger<int32_t>("num_local_experts");
    layer.window = of_layer.Integer<int32_t>("sliding_window");
  }
  const auto types = ParseLayerTypes(fields);
  for (size_t i = 0; types && i < std::min(types->size(), layers.size()); ++i) {
    if ((*types)[i] != layers[i].slides())
      Fail(ErrorKind::kBadFile, "{}: layer_types and block_configs differ on whether layer {} slides", name,
           i);
  }
  return layers;
}

std::vector<LayerConfig> ParseLayers(const Fields& fields, int32_t num_layers, const std::string& name) {
  if (const Json* blocks = fields.Find("block_configs")) return ParseBlocks(fields, *blocks, name);
  const int32_t experts = fields.RequiredInteger<int32_t>("num_local_experts");
  const int32_t window = fields.Integer<int32_t>("sliding_window").value_or(kPublishedWindow);
  const auto slides = ParseLayerTypes(fields);
  return slides ? UniformLayers(*slides, window, experts) : AlternatingLayers(num_layers, window, experts);
}

std::vector<int32_t> ParseIds(const Fields& fields, const char* key) {
  const Json* value = fields.Find(key);
  if (value == nullptr) return {};
  if (!value->is_array()) return {fields.ToInteger<int32_t>(*value, key)};
  std::vector<int32_t> ids;
  for (const Json& id : *value) ids.push_back(fields.ToInteger<int32_t>(id, key));
  return ids;
}

void AppendNew(std::vector<int32_t>& ids, const std::vector<int32_t>& more) {
  for (const int32_t id : more) {
    constexpr size_t kMostIds = 64;  // real files have three
    if (ids.size() < kMostIds && std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  }
}

int32_t ParseExpertsPerToken(const Fields& fields) {
  const std::optional<int32_t> value = fields.Integer<int32_t>("num_experts_per_tok");
  const std::optional<int32_t> twin = fields.Integer<int32_t>("experts_per_token");
  if (value && twin && *value != *twin) {
    Fail(ErrorKind::kBadFile, "{}num_experts_per_tok is {}, but experts_per_token is {}: expected the same",
         fields.where(), *value, *twin);
  }
  if (!value && !twin) return fields.RequiredInteger<int32_t>("num_experts_per_tok");
  return value ? *value : *twin;
}

}  // namespace

HfConfig ParseHfConfig(std::string_view json, const std::string& name) {
  const Json parsed = ParseSmallJson(json, name);
  const Fields fields(parsed, name + ": ");
  RequireGptOss(fields, name);

  HfConfig result;
  result.claims_mxfp4 = ClaimsMxfp4(fields);
  result.tied_embeddings = fields.Bool("tie_word_embeddings").value_or(false);
  if (!fields.Bool("attention_bias").value_or(true)) {
    Fail(ErrorKind::kUnsupported, "{}: attention_bias is false, expected true: gpt-oss has biases", name);
  }

  ModelConfig& model = result.model;
  model.num_layers = fields.RequiredInteger<int32_t>("num_hidden_layers");
  model.hidden_size = fields.RequiredInteger<int32_t>("hidden_size");
  model.num_heads = fields.RequiredInteger<int32_t>("num_attention_heads");
  model.num_kv_heads = fields.Integer<int32_t>("num_key_value_heads").value_or(model.num_heads);
  model.head_dim = fields.Integer<int32_t>("head_dim").value_or(64);  // transformers' default, not M / H
  model.experts_per_token = ParseExpertsPerToken(fields);
  model.expert_width = fields.RequiredInteger<int32_t>("intermediate_size");
  model.vocab_size = fields.RequiredInteger<int32_t>("vocab_size");
  model.max_context = fields.Integer<int64_t>("max_position_embeddings").value_or(model.max_context);
  model.rms_norm_eps = static_cast<float>(fields.Number("rms_norm_eps").value_or(1e-5));
  model.swiglu_alpha = static_cast<float>(fields.Number("swiglu_alpha").value_or(1.702));
  model.swiglu_limit = static_cast<float>(fields.Number("swiglu_limit").value_or(7.0));
  model.rope = ParseRope(fields, model.max_context);
  model.layers = ParseLayers(fields, model.num_layers, name);
  AppendNew(model.eos_token_ids, ParseIds(fields, "eos_token_id"));
  model.pad_token_id = fields.Integer<int32_t>("pad_token_id").value_or(-1);
  ValidateConfig(model, name);
  return result;
}

void AddGenerationConfig(std::string_view json, const std::string& name, ModelConfig& config) {
  const Json parsed = ParseSmallJson(json, name);
  const Fields fields(parsed, name + ": ");
  std::vector<int32_t> ids;
  AppendNew(ids, ParseIds(fields, "eos_token_id"));
  AppendNew(ids, config.eos_token_ids);
  config.eos_token_ids = std::move(ids);
}

}  // namespace oxidized
