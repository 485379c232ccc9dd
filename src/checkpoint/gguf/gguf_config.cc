#include "checkpoint/gguf/gguf_config.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "checkpoint/message_text.h"
#include "tensor/float16.h"

namespace oxidized {
namespace {

// The metadata of one model, looked up by the part of a key behind its architecture.
class Metadata {
 public:
  Metadata(const Gguf& gguf, std::string prefix, const std::string& name)
      : gguf_(gguf), prefix_(std::move(prefix)), name_(name) {}

  const GgufValue* Find(const std::string& key) const { return gguf_.Find(prefix_ + key); }

  template <typename Int>
  std::optional<Int> Integer(const std::string& key) const {
    const GgufValue* value = Find(key);
    if (value == nullptr) return std::nullopt;
    if (value->is_array) Wrong(key, "an array", "an integer");
    return Narrow<Int>(key, *value, 0);
  }

  template <typename Int>
  Int RequiredInteger(const std::string& key) const {
    const std::optional<Int> value = Integer<Int>(key);
    if (!value) Fail(ErrorKind::kBadFile, "{}: {}{} is missing", name_, prefix_, key);
    return *value;
  }

  // At most `most` of them.
  std::vector<int32_t> Integers(const std::string& key, int64_t most) const {
    const GgufValue* value = Find(key);
    std::vector<int32_t> all;
    if (value == nullptr) return all;
    for (int64_t i = 0; i < std::min(value->count, most); ++i) all.push_back(Narrow<int32_t>(key, *value, i));
    return all;
  }

  std::optional<double> Number(const std::string& key) const {
    const GgufValue* value = Find(key);
    if (value == nullptr) return std::nullopt;
    if (value->is_array || (value->type != GgufType::kF32 && value->type != GgufType::kF64)) {
      Wrong(key, value->is_array ? "an array" : TypeName(*value), "a finite f32 or f64");
    }
    const bool single = value->type == GgufType::kF32;
    const double number = single ? double{LoadUnaligned<float>(value->bytes.data())}
                                 : LoadUnaligned<double>(value->bytes.data());
    if (!(std::fabs(number) <= std::numeric_limits<float>::max())) {
      Wrong(key, fmt::format("{}", number), "a finite f32 or f64");
    }
    return number;
  }

  std::optional<std::string> String(const std::string& key) const {
    const GgufValue* value = Find(key);
    if (value == nullptr) return std::nullopt;
    if (value->is_array || value->type != GgufType::kString) Wrong(key, TypeName(*value), "a string");
    std::string_view text;
    GgufStrings(*value).Next(text);
    return std::string(text);
  }

  [[noreturn]] void Wrong(const std::string& key, const std::string& found, const char* expected) const {
    Fail(ErrorKind::kBadFile, "{}: {}{} is {}, expected {}", name_, prefix_, key, found, expected);
  }

  const std::string& prefix() const { return prefix_; }

 private:
  static std::string TypeName(const GgufValue& value) {
    return (value.is_array ? "an array of " : "a ") + std::string(Name(value.type));
  }

  template <typename Int>
  Int Narrow(const std::string& key, const GgufValue& value, int64_t i) const {
    const std::optional<int64_t> number = GgufInteger(value, i);
    if (!number) Wrong(key, TypeName(value), "an integer");
    if (*number < std::numeric_limits<int32_t>::min() || *number > std::numeric_limits<int32_t>::max()) {
      Wrong(key, std::to_string(*number), "an integer of 32 bits");
    }
    return static_cast<Int>(*number);
  }

  const Gguf& gguf_;
  const std::string prefix_;
  const std::string& name_;
};

std::string Architecture(const Metadata& all, const std::string& name) {
  const std::optional<std::string> architecture = all.String("general.architecture");
  if (!architecture) Fail(ErrorKind::kBadFile, "{}: general.architecture is missing", name);
  if (architecture == "gpt-oss" || architecture == "gptoss") return *architecture;
  Fail(ErrorKind::kUnsupported,
       "{}: general.architecture is {}, expected \"gpt-oss\" or \"gptoss\": only gpt-oss models run here",
       name, Quoted(*architecture));
}

RopeConfig ParseRope(const Metadata& keys, const std::string& name) {
  RopeConfig rope;
  rope.theta = keys.Number("rope.freq_base").value_or(rope.theta);
  const std::optional<std::string> type = keys.String("rope.scaling.type");
  if (type == "none") {
    rope.factor = 1.0;
    return rope;
  }
  if (type && type != "yarn") {
    Fail(ErrorKind::kUnsupported, "{}: {}rope.scaling.type is {}, expected \"yarn\" or \"none\"", name,
         keys.prefix(), Quoted(*type));
  }
  rope.factor = keys.Number("rope.scaling.factor").value_or(rope.factor);
  rope.original_context =
      keys.Integer<int64_t>("rope.scaling.original_context_length").value_or(rope.original_context);
  rope.beta_fast = keys.Number("rope.scaling.yarn_beta_fast").value_or(rope.beta_fast);
  rope.beta_slow = keys.Number("rope.scaling.yarn_beta_slow").value_or(rope.beta_slow);
  // Further dials of llama.cpp's rotation, 1 in every gpt-oss file: another value must not be passed over.
  for (const char* key :
       {"rope.scaling.attn_factor", "rope.scaling.yarn_attn_factor", "rope.scaling.yarn_ext_factor"}) {
    const double value = keys.Number(key).value_or(1.0);
    if (value != 1.0) {
      Fail(ErrorKind::kUnsupported, "{}: {}{} is {}, expected 1", name, keys.prefix(), key, value);
    }
  }
  return rope;
}

// `attention.sliding_window_pattern`: a bool for each layer, or a period whose last layer is full.
std::vector<LayerKind> ParseLayerKinds(const Metadata& keys, int32_t num_layers) {
  const std::string key = "attention.sliding_window_pattern";
  const GgufValue* pattern = keys.Find(key);
  const auto kind = [](bool slides) { return slides ? LayerKind::kSliding : LayerKind::kFull; };
  std::vector<LayerKind> kinds;
  if (pattern != nullptr && pattern->is_array) {
    if (pattern->type != GgufType::kBool || pattern->count != num_layers) {
      keys.Wrong(key, fmt::format("an array of {} {}", pattern->count, Name(pattern->type)),
                 "a bool for each layer");
    }
    for (const std::byte slides : pattern->bytes) kinds.push_back(kind(slides != std::byte{0}));
    return kinds;
  }
  const int32_t period = keys.Integer<int32_t>(key).value_or(2);
  if (period < 1) keys.Wrong(key, std::to_string(period), "a period of at least 1");
  constexpr int32_t kMostLayers = 1024;  // ValidateConfig refuses more; nothing may be allocated for them
  for (int32_t i = 0; i < std::min(num_layers, kMostLayers); ++i) {
    kinds.push_back(kind(i % period < period - 1));
  }
  return kinds;
}

std::vector<int32_t> EndIds(const Metadata& all) {
  constexpr int64_t kMostIds = 64;  // real files have three
  std::vector<int32_t> ids;
  for (const char* key : {"eos_token_id", "eos_token_ids", "eot_token_id"}) {
    for (const int32_t id : all.Integers(std::string("tokenizer.ggml.") + key, kMostIds)) {
      if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
    }
  }
  return ids;
}

// What ValidateConfig calls a field by Hugging Face's name, and the key behind "gpt-oss." that it came from.
// A name that contains another one precedes it.
constexpr std::pair<std::string_view, std::string_view> kKeyOfField[] = {
    {"num_hidden_layers", "block_count"},
    {"hidden_size", "embedding_length"},
    {"num_attention_heads", "attention.head_count"},
    {"num_key_value_heads", "attention.head_count_kv"},
    {"head_dim", "attention.key_length"},
    {"num_local_experts", "expert_count"},
    {"num_experts_per_tok", "expert_used_count"},
    {"intermediate_size", "expert_feed_forward_length"},
    {"sliding_window", "attention.sliding_window"},
    {"original_max_position_embeddings", "rope.scaling.original_context_length"},
    {"max_position_embeddings", "context_length"},
    {"rms_norm_eps", "attention.layer_norm_rms_epsilon"},
    {"rope_theta", "rope.freq_base"},
    {"the rope scaling factor", "rope.scaling.factor"},
    {"beta_fast", "rope.scaling.yarn_beta_fast"},
    {"beta_slow", "rope.scaling.yarn_beta_slow"},
};

void Validate(const ModelConfig& model, const std::string& prefix, const std::string& name) {
  std::string text;
  try {
    ValidateConfig(model, "");
    return;
  } catch (const Error& error) {
    text = error.what();
  }
  for (size_t at = 0; at < text.size(); ++at) {
    for (const auto& [field, key] : kKeyOfField) {
      if (text.compare(at, field.size(), field) != 0) continue;
      const std::string full = prefix + std::string(key);
      text.replace(at, field.size(), full);
      at += full.size() - 1;
      break;
    }
  }
  Fail(ErrorKind::kBadFile, "{}{}", name, text);
}

}  // namespace

ModelConfig ParseGgufConfig(const Gguf& gguf, int64_t vocab_size, const std::string& name) {
  const Metadata all(gguf, "", name);
  const Metadata keys(gguf, Architecture(all, name) + ".", name);
  ModelConfig model;
  model.num_layers = keys.RequiredInteger<int32_t>("block_count");
  model.hidden_size = keys.RequiredInteger<int32_t>("embedding_length");
  model.num_heads = keys.RequiredInteger<int32_t>("attention.head_count");
  model.num_kv_heads = keys.Integer<int32_t>("attention.head_count_kv").value_or(model.num_heads);
  model.head_dim = keys.Integer<int32_t>("attention.key_length").value_or(64);
  model.num_experts = keys.RequiredInteger<int32_t>("expert_count");
  model.experts_per_token = keys.RequiredInteger<int32_t>("expert_used_count");
  const std::optional<int32_t> expert_width = keys.Integer<int32_t>("expert_feed_forward_length");
  model.expert_width = expert_width ? *expert_width : keys.RequiredInteger<int32_t>("feed_forward_length");
  // More rows than 2^24 are refused below; the cast must not wrap them first.
  model.vocab_size = static_cast<int32_t>(std::min<int64_t>(vocab_size, std::numeric_limits<int32_t>::max()));
  model.sliding_window = keys.Integer<int32_t>("attention.sliding_window").value_or(model.sliding_window);
  model.max_context = keys.Integer<int64_t>("context_length").value_or(model.max_context);
  model.rms_norm_eps = static_cast<float>(keys.Number("attention.layer_norm_rms_epsilon").value_or(1e-5));
  model.rope = ParseRope(keys, name);
  model.layers = ParseLayerKinds(keys, model.num_layers);
  model.eos_token_ids = EndIds(all);

  for (const char* key : {"attention.value_length", "rope.dimension_count"}) {
    const int32_t width = keys.Integer<int32_t>(key).value_or(model.head_dim);
    if (width != model.head_dim) {
      Fail(ErrorKind::kUnsupported, "{}: {}{} is {}, expected the head size {}", name, keys.prefix(), key,
           width, model.head_dim);
    }
  }
  Validate(model, keys.prefix(), name);
  return model;
}

}  // namespace oxidized
