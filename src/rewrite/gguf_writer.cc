#include "rewrite/gguf_writer.h"

#include <algorithm>

#include "base/error.h"
#include "checkpoint/vocabulary_text.h"
#include "tokenizer/splitter.h"

namespace oxidized {
namespace {

constexpr int64_t kAlignment = 32;  // the format's default
constexpr uint32_t kVersion = 3;

template <typename T>
void Append(std::string& bytes, T value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void AppendString(std::string& bytes, std::string_view text) {
  Append(bytes, static_cast<uint64_t>(text.size()));
  bytes += text;
}

// Numbers of the file format (ggml's gguf.h), which differ from the order of the enumeration.
uint32_t TypeNumber(GgufType type) {
  switch (type) {
    case GgufType::kU32:
      return 4;
    case GgufType::kI32:
      return 5;
    case GgufType::kF32:
      return 6;
    case GgufType::kBool:
      return 7;
    case GgufType::kString:
      return 8;
    default:
      OX_CHECK(type == GgufType::kArray);
      return 9;
  }
}

// ggml_type and llama_ftype (llama.h) of the types that are written here.
struct TypeRow {
  DType dtype;
  uint32_t ggml_type;
  uint32_t file_type;
};
constexpr TypeRow kTypes[] = {{DType::kF32, 0, 0},
                              {DType::kF16, 1, 1},
                              {DType::kQ8_0, 8, 7},
                              {DType::kBF16, 30, 32},
                              {DType::kGgmlMxfp4, 39, 38}};
const TypeRow& RowOf(DType dtype) {
  const auto* row = std::find_if(std::begin(kTypes), std::end(kTypes),
                                 [&](const TypeRow& candidate) { return candidate.dtype == dtype; });
  OX_CHECK(row != std::end(kTypes));
  return *row;
}

int64_t Padded(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// GGUF has no key for these; a reader takes gpt-oss's own values.
void RequireExpressible(const ModelConfig& config) {
  const ModelConfig usual;
  const auto require = [](bool holds, const char* what, auto found, auto expected) {
    if (holds) return;
    Fail(ErrorKind::kUnsupported, "GGUF has no key for {}: this model's is {}, expected {}", what, found,
         expected);
  };
  require(config.swiglu_limit == usual.swiglu_limit, "swiglu_limit", config.swiglu_limit, usual.swiglu_limit);
  require(config.swiglu_alpha == usual.swiglu_alpha, "swiglu_alpha", config.swiglu_alpha, usual.swiglu_alpha);
  require(!config.rope.truncate, "rope truncation", true, false);
  require(config.rope.attention_factor == 0.0, "the rotation's attention factor",
          config.rope.attention_factor, "the one that YaRN derives");
}

// llama.cpp has one id that ends a text (and knows Harmony's others by their names); the list is Ollama's
// key.
void AddEndIds(GgufMetadata& m, const ModelConfig& c) {
  if (!c.eos_token_ids.empty())
    m.AddU32("tokenizer.ggml.eos_token_id", static_cast<uint32_t>(c.eos_token_ids.front()));
  if (c.eos_token_ids.size() > 1) m.AddI32s("tokenizer.ggml.eos_token_ids", c.eos_token_ids);
  if (c.pad_token_id >= 0) m.AddU32("tokenizer.ggml.padding_token_id", static_cast<uint32_t>(c.pad_token_id));
}

}  // namespace

void GgufMetadata::Key(std::string_view key, GgufType type) {
  AppendString(bytes_, key);
  Append(bytes_, TypeNumber(type));
  ++count_;
}
void GgufMetadata::Array(std::string_view key, GgufType type, size_t count) {
  Key(key, GgufType::kArray);
  Append(bytes_, TypeNumber(type));
  Append(bytes_, static_cast<uint64_t>(count));
}
void GgufMetadata::AddString(std::string_view key, std::string_view text) {
  Key(key, GgufType::kString);
  AppendString(bytes_, text);
}
void GgufMetadata::AddU32(std::string_view key, uint32_t value) {
  Key(key, GgufType::kU32);
  Append(bytes_, value);
}
void GgufMetadata::AddF32(std::string_view key, float value) {
  Key(key, GgufType::kF32);
  Append(bytes_, value);
}
void GgufMetadata::AddBool(std::string_view key, bool value) {
  Key(key, GgufType::kBool);
  Append(bytes_, static_cast<uint8_t>(value));
}
void GgufMetadata::AddStrings(std::string_view key, const std::vector<std::string>& texts) {
  Array(key, GgufType::kString, texts.size());
  for (const std::string& text : texts) AppendString(bytes_, text);
}
void GgufMetadata::AddI32s(std::string_view key, const std::vector<int32_t>& values) {
  Array(key, GgufType::kI32, values.size());
  for (const int32_t value : values) Append(bytes_, value);
}
void GgufMetadata::AddBools(std::string_view key, const std::vector<bool>& values) {
  Array(key, GgufType::kBool, values.size());
  for (const bool value : values) Append(bytes_, static_cast<uint8_t>(value));
}

void AddGgufConfig(GgufMetadata& m, const ModelConfig& c, const std::string& name, DType dense,
                   DType experts) {
  RequireExpressible(c);
  const auto u32 = [&](const char* key, int64_t value) {
    m.AddU32(std::string("gpt-oss.") + key, static_cast<uint32_t>(value));
  };
  const auto f32 = [&](const char* key, double value) {
    m.AddF32(std::string("gpt-oss.") + key, static_cast<float>(value));
  };
  m.AddString("general.architecture", "gpt-oss");
  m.AddString("general.type", "model");
  m.AddString("general.name", name);
  u32("block_count", c.num_layers);
  u32("context_length", c.max_context);
  u32("embedding_length", c.hidden_size);
  u32("feed_forward_length", c.expert_width);
  u32("attention.head_count", c.num_heads);
  u32("attention.head_count_kv", c.num_kv_heads);
  f32("rope.freq_base", c.rope.theta);
  f32("attention.layer_norm_rms_epsilon", c.rms_norm_eps);
  u32("expert_count", c.num_experts);
  u32("expert_used_count", c.experts_per_token);
  u32("attention.key_length", c.head_dim);
  u32("attention.value_length", c.head_dim);
  m.AddU32("general.file_type", RowOf(experts == DType::kGgmlMxfp4 ? experts : dense).file_type);
  u32("attention.sliding_window", c.sliding_window);
  u32("expert_feed_forward_length", c.expert_width);
  m.AddString("gpt-oss.rope.scaling.type", "yarn");
  f32("rope.scaling.factor", c.rope.factor);
  u32("rope.scaling.original_context_length", c.rope.original_context);
  f32("rope.scaling.yarn_beta_fast", c.rope.beta_fast);
  f32("rope.scaling.yarn_beta_slow", c.rope.beta_slow);
  std::vector<bool> sliding;
  bool even = true;
  for (size_t i = 0; i < c.layers.size(); ++i) {
    sliding.push_back(c.layers[i] == LayerKind::kSliding);
    even = even && sliding.back() == (i % 2 == 0);
  }
  if (!even) m.AddBools("gpt-oss.attention.sliding_window_pattern", sliding);
  m.AddU32("general.quantization_version", 2);
}

void AddGgufVocabulary(GgufMetadata& m, const ModelConfig& c, const Vocabulary& vocabulary) {
  if (vocabulary.split_pattern != kO200kPattern) {
    Fail(ErrorKind::kUnsupported,
         "GGUF names the rule by which text is split, and has no name for the one of this tokenizer: "
         "expected o200k's");
  }
  enum TokenType : int32_t { kNormal = 1, kControl = 3, kUnused = 5 };
  std::vector<std::string> tokens;
  std::vector<int32_t> types;
  for (int32_t id = 0; id < c.vocab_size; ++id) {
    const auto special = vocabulary.special_texts.find(id);
    const auto bytes = id < vocabulary.tokens.id_limit() ? vocabulary.tokens.Bytes(id) : std::nullopt;
    if (special != vocabulary.special_texts.end()) {
      tokens.push_back(special->second);
      types.push_back(kControl);
    } else if (bytes) {
      tokens.push_back(EncodeByteText(*bytes));
      types.push_back(kNormal);
    } else {  // as llama.cpp's converter fills the places that no token has
      tokens.push_back(fmt::format("[PAD{}]", id));
      types.push_back(kUnused);
    }
  }
  m.AddString("tokenizer.ggml.model", "gpt2");
  m.AddString("tokenizer.ggml.pre", "gpt-4o");
  m.AddStrings("tokenizer.ggml.tokens", tokens);
  m.AddI32s("tokenizer.ggml.token_type", types);
  m.AddStrings("tokenizer.ggml.merges", MergeTexts(vocabulary));
  const auto bos = vocabulary.special_ids.find("<|startoftext|>");
  if (bos != vocabulary.special_ids.end())
    m.AddU32("tokenizer.ggml.bos_token_id", static_cast<uint32_t>(bos->second));
  AddEndIds(m, c);
  m.AddBool("tokenizer.ggml.add_bos_token", false);
}

void AddGgufNoVocabulary(GgufMetadata& m, const ModelConfig& c) {
  m.AddString("tokenizer.ggml.model", "no_vocab");
  m.AddU32("gpt-oss.vocab_size", static_cast<uint32_t>(c.vocab_size));
  AddEndIds(m, c);
}

PlannedFile PlanGguf(const GgufMetadata& metadata, std::vector<PlannedTensor> tensors) {
  PlannedFile file;
  std::string& header = file.header;
  header = kGgufMagic;
  Append(header, kVersion);
  Append(header, static_cast<int64_t>(tensors.size()));
  Append(header, metadata.count());
  header += metadata.bytes();
  int64_t data_bytes = 0;
  for (PlannedTensor& tensor : tensors) {
    const TensorSpec& spec = tensor.spec;
    AppendString(header, spec.name);
    Append(header, static_cast<uint32_t>(spec.shape.size()));
    for (auto dimension = spec.shape.rbegin(); dimension != spec.shape.rend(); ++dimension) {
      Append(header, *dimension);
    }
    Append(header, RowOf(spec.dtype).ggml_type);
    Append(header, static_cast<uint64_t>(data_bytes));
    tensor.begin = data_bytes;
    data_bytes += Padded(spec.bytes());
  }
  header.resize(static_cast<size_t>(Padded(static_cast<int64_t>(header.size()))), '\0');
  for (PlannedTensor& tensor : tensors) tensor.begin += static_cast<int64_t>(header.size());
  file.bytes = static_cast<int64_t>(header.size()) + data_bytes;
  file.tensors = std::move(tensors);
  return file;
}

}  // namespace oxidized
