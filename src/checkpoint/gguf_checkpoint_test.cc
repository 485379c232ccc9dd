// GGUF models opened: the values are those of the Hugging Face form, whatever the names, types and files.
#include "checkpoint/gguf_checkpoint.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "checkpoint/checkpoint_test_util.h"
#include "checkpoint/gguf_test_util.h"
#include "checkpoint/inspect.h"
#include "model/costs.h"
#include "tensor/float16.h"
#include "tensor/mxfp4.h"
#include "tensor/stored.h"

namespace oxidized {
namespace {

using namespace testing;

constexpr ErrorKind kBad = ErrorKind::kBadFile;
constexpr ErrorKind kUnsupported = ErrorKind::kUnsupported;

enum class Naming { kLlamaCpp, kOllama };

struct Form {
  Naming naming = Naming::kLlamaCpp;
  uint32_t vectors = kGgufF32;
  uint32_t dense = kGgufBf16;
  uint32_t experts = kGgufMxfp4;
};

// ---- Values of a stored type from f32; block types only where the values fit them. ----

std::string Encode(const std::vector<float>& values, uint32_t type) {
  std::string bytes;
  for (size_t i = 0; i < values.size(); i += 32) {
    if (type != kGgufMxfp4 && type != kGgufOllamaMxfp4) break;
    uint8_t block[16], ggml[16];
    const uint8_t scale = EncodeMxfp4Block(values.data() + i, block);
    Mxfp4ToGgmlOrder(block, ggml);
    bytes += static_cast<char>(scale);
    bytes.append(reinterpret_cast<const char*>(type == kGgufMxfp4 ? ggml : block), 16);
  }
  for (const float value : values) {
    if (type == kGgufF32) bytes += Raw(value);
    if (type == kGgufBf16) bytes += Raw(FloatToBf16(value));
  }
  return bytes;
}

std::vector<float> Values(const VectorView& v) {
  std::vector<float> values(static_cast<size_t>(v.size));
  v.Decode(values.data());
  return values;
}
std::vector<float> Values(const MatrixView& m) {
  std::vector<float> values(static_cast<size_t>(m.rows * m.cols));
  for (int64_t r = 0; r < m.rows; ++r) m.DecodeRow(r, values.data() + r * m.cols);
  return values;
}
// Rows first, first + step, …
std::vector<float> Rows(const std::vector<ExpertView>& experts, int64_t first, int64_t step) {
  std::vector<float> values;
  for (const ExpertView& expert : experts) {
    std::vector<float> row(static_cast<size_t>(expert.cols));
    for (int64_t r = first; r < expert.rows; r += step) {
      expert.DecodeRow(r, row.data());
      values.insert(values.end(), row.begin(), row.end());
    }
  }
  return values;
}
std::vector<float> Biases(const std::vector<ExpertView>& experts, int64_t first, int64_t step) {
  std::vector<float> values;
  for (const ExpertView& expert : experts) {
    for (int64_t r = first; r < expert.rows; r += step) values.push_back(expert.bias_at(r));
  }
  return values;
}

// ---- The mini model as GGUF. ----

void AddMetadata(GgufBuilder& gguf, const ModelConfig& c, Naming naming) {
  const bool ollama = naming == Naming::kOllama;
  const std::string arch = ollama ? "gptoss" : "gpt-oss";
  const auto u32 = [&](const std::string& key, int64_t value) {
    gguf.U32(arch + "." + key, static_cast<uint32_t>(value));
  };
  gguf.String("general.architecture", arch);
  u32("block_count", c.num_layers);
  u32("context_length", c.max_context);
  u32("embedding_length", c.hidden_size);
  u32("feed_forward_length", c.expert_width);
  if (!ollama) u32("expert_feed_forward_length", c.expert_width);
  u32("expert_count", c.num_experts);
  u32("expert_used_count", c.experts_per_token);
  u32("attention.head_count", c.num_heads);
  u32("attention.head_count_kv", c.num_kv_heads);
  u32("attention.key_length", c.head_dim);
  u32("attention.value_length", c.head_dim);
  u32("attention.sliding_window", c.sliding_window);
  gguf.F32(arch + ".attention.layer_norm_rms_epsilon", c.rms_norm_eps);
  gguf.F32(arch + ".rope.freq_base", static_cast<float>(c.rope.theta));
  gguf.F32(arch + ".rope.scaling.factor", static_cast<float>(c.rope.factor));
  u32("rope.scaling.original_context_length", c.rope.original_context);
  if (!ollama) gguf.String(arch + ".rope.scaling.type", "yarn");
  gguf.U32("tokenizer.ggml.eos_token_id", 7);
  if (ollama) gguf.I32s("tokenizer.ggml.eos_token_ids", {7, 9});
  if (!ollama) gguf.U32("tokenizer.ggml.eot_token_id", 9);
}

GgufBuilder MakeGguf(const Checkpoint& from, const Form& form) {
  const ModelConfig& c = from.config;
  GgufBuilder gguf;
  AddMetadata(gguf, c, form.naming);
  const auto vector = [&](const std::string& name, const std::vector<float>& values) {
    gguf.Tensor(name, {static_cast<int64_t>(values.size())}, form.vectors, Encode(values, form.vectors));
  };
  const auto matrix = [&](const std::string& name, const MatrixView& m) {
    gguf.Tensor(name, {m.rows, m.cols}, form.dense, Encode(Values(m), form.dense));
  };
  const auto experts = [&](const std::string& name, const std::vector<ExpertView>& e, int64_t first,
                           int64_t step) {
    const int64_t count = static_cast<int64_t>(e.size()), rows = e[0].rows / step;
    gguf.Tensor(name + ".weight", {count, rows, e[0].cols}, form.experts,
                Encode(Rows(e, first, step), form.experts));
    gguf.Tensor(name + ".bias", {count, rows}, form.vectors, Encode(Biases(e, first, step), form.vectors));
  };
  const auto joined = [](std::vector<float> all, const std::vector<float>& b,
                         const std::vector<float>& third) {
    all.insert(all.end(), b.begin(), b.end());
    all.insert(all.end(), third.begin(), third.end());
    return all;
  };
  const bool ollama = form.naming == Naming::kOllama;
  matrix("token_embd.weight", from.weights.embedding);
  for (size_t n = 0; n < from.weights.layers.size(); ++n) {
    const LayerWeights& w = from.weights.layers[n];
    const std::string layer = "blk." + std::to_string(n) + ".";
    vector(layer + "attn_norm.weight", Values(w.attention_norm));
    if (ollama) {
      gguf.Tensor(layer + "attn_qkv.weight", {w.q.rows + 2 * w.k.rows, w.q.cols}, form.dense,
                  Encode(joined(Values(w.q), Values(w.k), Values(w.v)), form.dense));
      vector(layer + "attn_qkv.bias", joined(Values(w.q_bias), Values(w.k_bias), Values(w.v_bias)));
    } else {
      matrix(layer + "attn_q.weight", w.q);
      matrix(layer + "attn_k.weight", w.k);
      matrix(layer + "attn_v.weight", w.v);
      vector(layer + "attn_q.bias", Values(w.q_bias));
      vector(layer + "attn_k.bias", Values(w.k_bias));
      vector(layer + "attn_v.bias", Values(w.v_bias));
    }
    matrix(layer + (ollama ? "attn_out.weight" : "attn_output.weight"), w.o);
    vector(layer + (ollama ? "attn_out.bias" : "attn_output.bias"), Values(w.o_bias));
    vector(layer + (ollama ? "attn_sinks" : "attn_sinks.weight"), Values(w.sinks));
    vector(layer + (ollama ? "ffn_norm.weight" : "post_attention_norm.weight"), Values(w.mlp_norm));
    gguf.Tensor(layer + "ffn_gate_inp.weight", {w.router.rows, w.router.cols}, form.vectors,
                Encode(Values(w.router), form.vectors));
    vector(layer + "ffn_gate_inp.bias", Values(w.router_bias));
    if (ollama) {
      experts(layer + "ffn_gate_up_exps", w.gate_up, 0, 1);
    } else {
      experts(layer + "ffn_gate_exps", w.gate_up, 0, 2);
      experts(layer + "ffn_up_exps", w.gate_up, 1, 2);
    }
    experts(layer + "ffn_down_exps", w.down, 0, 1);
  }
  vector("output_norm.weight", Values(from.weights.final_norm));
  matrix("output.weight", from.weights.unembedding);
  return gguf;
}

// A mini model whose values are all finite and whose expert values MXFP4 holds again exactly.
HfWriteRequest FiniteRequest(const fs::path& out) {
  HfWriteRequest request = MiniRequest(out);
  request.fill = [](const TensorSpec& tensor, int64_t offset, std::span<std::byte> bytes) {
    const bool scales = tensor.name.ends_with("_scales");
    for (size_t i = 0; i < bytes.size(); ++i) {
      const size_t at = static_cast<size_t>(offset) + i;
      uint64_t mixed =
          (at + tensor.name.size() * 131 + tensor.name[tensor.name.size() / 2]) * 0x9E3779B97F4A7C15;
      auto byte = static_cast<uint8_t>(mixed >> 40);
      if (scales) byte = static_cast<uint8_t>(120 + byte % 8);
      if (tensor.dtype == DType::kBF16 && at % 2 == 1) byte = static_cast<uint8_t>((byte & 0x80) | 0x3E);
      if (tensor.name.ends_with("_blocks") && at % 16 == 0) byte = 0x77;  // a block's largest code: 6
      bytes[i] = static_cast<std::byte>(byte);
    }
  };
  return request;
}

class GgufModel : public ::testing::Test {
 protected:
  GgufModel() {
    WriteHfCheckpoint(FiniteRequest(temp_.path() / "hf"));
    hf_ = OpenCheckpoint(temp_.path() / "hf");
  }

  Checkpoint Open(const std::string& file, const std::string& name = "m.gguf",
                  const OpenOptions& options = {}) {
    WriteFile(temp_.path() / name, file);
    return OpenCheckpoint(temp_.path() / name, options);
  }
  void ExpectBroken(const GgufBuilder& gguf, ErrorKind kind, const std::vector<std::string>& parts) {
    ExpectError(kind, parts, [&] { Open(gguf.Build()); });
  }

  // Bit for bit, wherever and however the two are stored.
  void ExpectSameValues(const WeightsView& a, const WeightsView& b) {
    const auto same = [](const char* what, const std::vector<float>& x, const std::vector<float>& y) {
      ASSERT_EQ(x.size(), y.size()) << what;
      for (size_t i = 0; i < x.size(); ++i)
        ASSERT_EQ(std::bit_cast<uint32_t>(x[i]), std::bit_cast<uint32_t>(y[i])) << what << i;
    };
    same("embedding", Values(a.embedding), Values(b.embedding));
    same("unembedding", Values(a.unembedding), Values(b.unembedding));
    same("final_norm", Values(a.final_norm), Values(b.final_norm));
    ASSERT_EQ(a.layers.size(), b.layers.size());
    for (size_t n = 0; n < a.layers.size(); ++n) {
      const LayerWeights &x = a.layers[n], &y = b.layers[n];
      same("attention_norm", Values(x.attention_norm), Values(y.attention_norm));
      same("q", Values(x.q), Values(y.q));
      same("k", Values(x.k), Values(y.k));
      same("v", Values(x.v), Values(y.v));
      same("o", Values(x.o), Values(y.o));
      same("q_bias", Values(x.q_bias), Values(y.q_bias));
      same("k_bias", Values(x.k_bias), Values(y.k_bias));
      same("v_bias", Values(x.v_bias), Values(y.v_bias));
      same("o_bias", Values(x.o_bias), Values(y.o_bias));
      same("sinks", Values(x.sinks), Values(y.sinks));
      same("mlp_norm", Values(x.mlp_norm), Values(y.mlp_norm));
      same("router", Values(x.router), Values(y.router));
      same("router_bias", Values(x.router_bias), Values(y.router_bias));
      same("gate_up", Rows(x.gate_up, 0, 1), Rows(y.gate_up, 0, 1));
      same("down", Rows(x.down, 0, 1), Rows(y.down, 0, 1));
      same("gate_up bias", Biases(x.gate_up, 0, 1), Biases(y.gate_up, 0, 1));
      same("down bias", Biases(x.down, 0, 1), Biases(y.down, 0, 1));
    }
  }

  const TempFolder temp_;
  Checkpoint hf_;
};

TEST_F(GgufModel, EveryFormHoldsTheValuesOfTheHuggingFaceForm) {
  const Form forms[] = {
      {Naming::kLlamaCpp, kGgufF32, kGgufBf16, kGgufMxfp4},
      {Naming::kLlamaCpp, kGgufF32, kGgufF32, kGgufF32},
      {Naming::kLlamaCpp, kGgufBf16, kGgufBf16, kGgufBf16},
      {Naming::kLlamaCpp, kGgufF32, kGgufBf16, kGgufOllamaMxfp4},
      {Naming::kOllama, kGgufBf16, kGgufBf16, kGgufOllamaMxfp4},
      {Naming::kOllama, kGgufF32, kGgufF32, kGgufMxfp4},
      {Naming::kOllama, kGgufBf16, kGgufF32, kGgufBf16},
  };
  for (const Form& form : forms) {
    const Checkpoint gguf = Open(MakeGguf(hf_, form).Build());
    SCOPED_TRACE(gguf.format);
    ExpectSameValues(hf_.weights, gguf.weights);
    EXPECT_EQ(gguf.converted.tensors, 0);
    for (const ExpertView& expert : gguf.weights.layers[1].gate_up) {
      EXPECT_EQ(expert.layout, form.experts == kGgufMxfp4         ? ExpertLayout::kGgmlMxfp4
                               : form.experts == kGgufOllamaMxfp4 ? ExpertLayout::kOllamaMxfp4
                                                                  : ExpertLayout::kRows);
      EXPECT_EQ(expert.up_values != nullptr, form.naming == Naming::kLlamaCpp);
    }
    EXPECT_NE(gguf.format.find(form.naming == Naming::kOllama ? "Ollama's names" : "llama.cpp's names"),
              std::string::npos);
    EXPECT_EQ(gguf.tensors.size(), form.naming == Naming::kOllama ? 2u * 13 + 3 : 2u * 19 + 3);
    EXPECT_EQ(ComputeCosts(gguf.config, gguf.weights).parameters,
              ComputeCosts(hf_.config, hf_.weights).parameters);
    const Checkpoint read = Open(MakeGguf(hf_, form).Build(), "m.gguf", {.mode = MappedFile::Mode::kRead});
    ExpectSameValues(hf_.weights, read.weights);
  }
}

TEST_F(GgufModel, ConfigurationIsThatOfTheHuggingFaceForm) {
  for (const Naming naming : {Naming::kLlamaCpp, Naming::kOllama}) {
    const ModelConfig c = Open(MakeGguf(hf_, {naming}).Build()).config;
    EXPECT_EQ(c.num_layers, 2);
    EXPECT_EQ(c.hidden_size, 32);
    EXPECT_EQ(c.num_heads, 4);
    EXPECT_EQ(c.num_kv_heads, 2);
    EXPECT_EQ(c.head_dim, 8);
    EXPECT_EQ(c.num_experts, 2);
    EXPECT_EQ(c.experts_per_token, 1);
    EXPECT_EQ(c.expert_width, 64);
    EXPECT_EQ(c.vocab_size, 96);
    EXPECT_EQ(c.sliding_window, 4);
    EXPECT_EQ(c.layers, (std::vector{LayerKind::kSliding, LayerKind::kFull}));
    EXPECT_EQ(c.eos_token_ids, (std::vector<int32_t>{7, 9}));
    EXPECT_EQ(c.rope.theta, 150000.0);
    EXPECT_EQ(c.rope.factor, 32.0);
    EXPECT_EQ(c.rope.original_context, 4096);
    EXPECT_FALSE(c.rope.truncate);
    EXPECT_EQ(c.swiglu_limit, 7.0f);
    EXPECT_EQ(c.swiglu_alpha, 1.702f);
    EXPECT_EQ(c.rms_norm_eps, 1e-5f);
  }
}

TEST_F(GgufModel, KeysThatChangeTheModelAreHonouredOrRefused) {
  const auto config = [&](const std::function<void(GgufBuilder&)>& change) {
    GgufBuilder gguf = MakeGguf(hf_, {});
    change(gguf);
    return Open(gguf.Build()).config;
  };
  const std::string pattern = "gpt-oss.attention.sliding_window_pattern";
  EXPECT_EQ(config([&](auto& g) { g.Array(pattern, 7, 2, {'\0', '\1'}); }).layers,
            (std::vector{LayerKind::kFull, LayerKind::kSliding}));
  EXPECT_EQ(config([&](auto& g) { g.U32(pattern, 1); }).layers,
            (std::vector{LayerKind::kFull, LayerKind::kFull}));
  EXPECT_EQ(config([&](auto& g) { g.U32(pattern, 4); }).layers,
            (std::vector{LayerKind::kSliding, LayerKind::kSliding}));
  const RopeConfig rope = config([&](auto& g) {
                            g.F32("gpt-oss.rope.scaling.yarn_beta_fast", 16.0f);
                            g.F32("gpt-oss.rope.scaling.yarn_beta_slow", 2.0f);
                            g.F32("gpt-oss.rope.scaling.yarn_ext_factor", 1.0f);
                          }).rope;
  EXPECT_EQ(rope.beta_fast, 16.0);
  EXPECT_EQ(rope.beta_slow, 2.0);

  const auto broken = [&](ErrorKind kind, const std::vector<std::string>& parts,
                          const std::function<void(GgufBuilder&)>& change) {
    GgufBuilder gguf = MakeGguf(hf_, {});
    change(gguf);
    ExpectBroken(gguf, kind, parts);
  };
  broken(kBad, {"sliding_window_pattern is an array of 1 bool"},
         [&](auto& g) { g.Array(pattern, 7, 1, {'\1'}); });
  broken(kBad, {"sliding_window_pattern is 0"}, [&](auto& g) { g.U32(pattern, 0); });
  broken(kUnsupported, {"yarn_attn_factor is 2"},
         [&](auto& g) { g.F32("gpt-oss.rope.scaling.yarn_attn_factor", 2.0f); });
  broken(kUnsupported, {"rope.dimension_count is 4", "head size 8"},
         [&](auto& g) { g.U32("gpt-oss.rope.dimension_count", 4); });
  // The value behind a key that is there already: replaced, as the first of a kind.
  const auto replaced = [&](const std::string& key, const std::string& value) {
    return [key, value](GgufBuilder& g) {
      std::erase_if(g.values(), [&](const std::string& v) { return v.starts_with(RawString(key)); });
      if (!value.empty()) g.values().push_back(RawString(key) + value);
    };
  };
  const std::string u32 = Raw(uint32_t{4}), f32 = Raw(uint32_t{6}), text = Raw(uint32_t{8});
  broken(kBad, {"general.architecture is \"llama\"", "only gpt-oss"},
         replaced("general.architecture", text + RawString("llama")));
  broken(kBad, {"general.architecture is missing"}, replaced("general.architecture", ""));
  broken(kBad, {"gpt-oss.block_count is missing"}, replaced("gpt-oss.block_count", ""));
  broken(kBad, {"gpt-oss.block_count is a f32", "an integer"},
         replaced("gpt-oss.block_count", f32 + Raw(2.0f)));
  broken(kBad, {"gpt-oss.block_count is an array"},
         replaced("gpt-oss.block_count", Raw(uint32_t{9}) + u32 + Raw(uint64_t{1}) + Raw(2)));
  broken(kBad, {"gpt-oss.expert_count is 4294967295", "32 bits"},
         replaced("gpt-oss.expert_count", u32 + Raw(uint32_t{0xFFFFFFFF})));
  broken(kBad, {"rope.freq_base is a f32", "finite"}, replaced("gpt-oss.rope.freq_base", f32 + Raw(NAN)));
  broken(kBad, {"rope.freq_base is a u32"}, replaced("gpt-oss.rope.freq_base", u32 + Raw(1)));
  broken(kUnsupported, {"rope.scaling.type is \"linear\""},
         replaced("gpt-oss.rope.scaling.type", text + RawString("linear")));
  broken(kBad, {"num_key_value_heads"}, replaced("gpt-oss.attention.head_count_kv", u32 + Raw(3)));
}

TEST_F(GgufModel, TensorsThatDoNotFitAreNamed) {
  const auto broken = [&](const std::vector<std::string>& parts, const std::string& name,
                          const std::function<void(GgufBuilder::TensorSpec&)>& change) {
    GgufBuilder gguf = MakeGguf(hf_, {});
    for (GgufBuilder::TensorSpec& tensor : gguf.tensors()) {
      if (tensor.name == name) change(tensor);
    }
    ExpectBroken(gguf, kBad, parts);
  };
  const auto renamed = [](GgufBuilder::TensorSpec& t) { t.name = "x"; };
  broken({"\"blk.1.attn_q.weight\" is missing"}, "blk.1.attn_q.weight", renamed);
  broken({"\"blk.0.attn_sinks.weight\" is missing"}, "blk.0.attn_sinks.weight", renamed);
  broken({"\"token_embd.weight\" is missing"}, "token_embd.weight", renamed);
  broken({"blk.0.ffn_up_exps.weight", "[64, 2, 32]", "expected [2, 64, 32]"}, "blk.0.ffn_up_exps.weight",
         [](auto& t) { t.shape = {64, 2, 32}; });
  broken({"blk.0.attn_norm.weight", "is I32, expected"}, "blk.0.attn_norm.weight",
         [](auto& t) { t.type = 26; });
  broken({"blk.0.attn_norm.weight", "is Q8_0, expected F32, BF16 or F16"}, "blk.0.attn_norm.weight",
         [](auto& t) {
           t.type = kGgufQ8_0;
           t.bytes.resize(34);
         });
  broken({"\"token_embd.weight\" has shape [3072]"}, "token_embd.weight",
         [](auto& t) { t.shape = {96 * 32}; });
  broken({"blk.0.attn_q.weight", "only expert matrices"}, "blk.0.attn_q.weight", [](auto& t) {
    t.type = kGgufOllamaMxfp4;
    t.bytes.resize(32 * 17);
  });
  GgufBuilder layer = MakeGguf(hf_, {});
  std::erase_if(layer.tensors(), [](const auto& t) { return t.name.starts_with("blk.1."); });
  ExpectBroken(layer, kBad, {"blk.1.attn_norm.weight", "and 15 more"});
}

TEST_F(GgufModel, DimensionsOfOneAndTiedEmbeddingsAreTakenAsTheyCome) {
  GgufBuilder gguf = MakeGguf(hf_, {});
  for (GgufBuilder::TensorSpec& tensor : gguf.tensors()) {
    if (tensor.name == "output_norm.weight") tensor.shape = {1, 1, 32};
  }
  std::erase_if(gguf.tensors(), [](const auto& t) { return t.name == "output.weight"; });
  const Checkpoint tied = Open(gguf.Build());
  EXPECT_EQ(tied.weights.unembedding.data, tied.weights.embedding.data);
  EXPECT_EQ(tied.weights.final_norm.size, 32);
}

// Every other block type becomes BF16 or F32, each value the block's own (rounded once for BF16).
TEST_F(GgufModel, OtherBlockTypesAreConverted) {
  for (const auto& [type, dtype] : {std::pair{2u, DType::kQ4_0},
                                    {3u, DType::kQ4_1},
                                    {6u, DType::kQ5_0},
                                    {7u, DType::kQ5_1},
                                    {20u, DType::kIq4Nl}}) {
    GgufBuilder gguf = MakeGguf(hf_, {});
    std::map<std::string, std::string> stored;
    for (GgufBuilder::TensorSpec& t : gguf.tensors()) {
      if (t.name != "blk.1.attn_output.weight" && t.name != "blk.0.ffn_gate_exps.weight" &&
          t.name != "blk.0.ffn_up_exps.weight") {
        continue;
      }
      int64_t elements = 1;
      for (const int64_t d : t.shape) elements *= d;
      t.type = type;
      t.bytes.resize(static_cast<size_t>(StoredBytes(dtype, elements)));
      const size_t block = static_cast<size_t>(BlockOf(dtype).bytes);
      for (size_t i = 0; i < t.bytes.size(); ++i) {
        const size_t in_block = i % block;  // f16 of about 1 where scales lie, anything elsewhere
        t.bytes[i] = static_cast<char>(in_block == 1 || in_block == 3 ? 0x3C : i * 37 + 11);
      }
      stored[t.name] = t.bytes;
    }
    for (const DType to : {DType::kBF16, DType::kF32}) {
      const Checkpoint checkpoint = Open(gguf.Build(), "m.gguf", {.convert_to = to});
      EXPECT_EQ(checkpoint.converted.tensors, 3);
      EXPECT_EQ(checkpoint.converted.bytes, (32 * 32 + 2 * 2 * 64 * 32) * (to == DType::kF32 ? 4 : 2));
      EXPECT_GT(checkpoint.converted.ms, 0.0);
      const auto expect = [&](const std::string& name, const std::vector<float>& found) {
        const std::string& bytes = stored.at(name);
        std::vector<float> expected(found.size());
        DecodeStored(dtype, reinterpret_cast<const std::byte*>(bytes.data()),
                     static_cast<int64_t>(expected.size()), expected.data());
        if (to == DType::kBF16) {
          for (float& value : expected) value = RoundToBf16(value);
        }
        EXPECT_EQ(found, expected) << name << " " << Name(dtype);
      };
      const LayerWeights& first = checkpoint.weights.layers[0];
      EXPECT_EQ(checkpoint.weights.layers[1].o.dtype, to);
      expect("blk.1.attn_output.weight", Values(checkpoint.weights.layers[1].o));
      EXPECT_EQ(first.gate_up[0].layout, ExpertLayout::kRows);
      EXPECT_EQ(first.gate_up[0].dtype, to);
      expect("blk.0.ffn_gate_exps.weight", Rows(first.gate_up, 0, 2));
      expect("blk.0.ffn_up_exps.weight", Rows(first.gate_up, 1, 2));
      EXPECT_EQ(Rows(first.down, 0, 1), Rows(hf_.weights.layers[0].down, 0, 1)) << "still viewed in the file";
    }
    const Checkpoint plan = Open(gguf.Build(), "m.gguf", {.metadata_only = true});
    EXPECT_EQ(plan.converted.tensors, 3);
    EXPECT_EQ(plan.converted.ms, 0.0);
    EXPECT_NE(InspectText(plan).find("Converted at load  3 tensors"), std::string::npos);
    EXPECT_NE(InspectText(plan).find("blk.*.attn_k.weight"), std::string::npos);
    EXPECT_NE(InspectText(plan).find(Name(dtype)), std::string::npos);
  }
}

TEST_F(GgufModel, Q8_0IsViewedDenseAndInExperts) {
  GgufBuilder gguf = MakeGguf(hf_, {});
  for (GgufBuilder::TensorSpec& t : gguf.tensors()) {
    if (t.name != "output.weight" && t.name.find("_exps.weight") == std::string::npos) continue;
    int64_t elements = 1;
    for (const int64_t d : t.shape) elements *= d;
    t.type = kGgufQ8_0;
    t.bytes.clear();
    for (int64_t i = 0; i < elements / 32; ++i) {
      t.bytes += Raw(uint16_t{0x3000}) + std::string(32, static_cast<char>(i));
    }
  }
  const Checkpoint checkpoint = Open(gguf.Build());
  EXPECT_EQ(checkpoint.converted.tensors, 0);
  EXPECT_EQ(checkpoint.weights.unembedding.dtype, DType::kQ8_0);
  EXPECT_EQ(Values(checkpoint.weights.unembedding)[32 * 5], 5.0f * 0.125f);
  const ExpertView& down = checkpoint.weights.layers[0].down[1];
  EXPECT_EQ(down.layout, ExpertLayout::kRows);
  EXPECT_EQ(down.dtype, DType::kQ8_0);
  std::vector<float> row(64);
  down.DecodeRow(2, row.data());
  EXPECT_EQ(row[0], static_cast<float>(static_cast<int8_t>(64 + 4)) * 0.125f);
  EXPECT_GT(ComputeCosts(checkpoint.config, checkpoint.weights).decode_bytes, 0);
}

// Gate and up of different types: nobody promises they are equal, and one ExpertView has one type.
TEST_F(GgufModel, GateAndUpOfDifferentTypesBecomeF32) {
  GgufBuilder gguf = MakeGguf(hf_, {});
  for (GgufBuilder::TensorSpec& t : gguf.tensors()) {
    if (t.name != "blk.0.ffn_up_exps.weight") continue;
    t.type = kGgufBf16;
    t.bytes = Encode(Rows(hf_.weights.layers[0].gate_up, 1, 2), kGgufBf16);
  }
  const Checkpoint checkpoint = Open(gguf.Build());
  EXPECT_EQ(checkpoint.converted.tensors, 2);
  ExpectSameValues(hf_.weights, checkpoint.weights);
}

TEST_F(GgufModel, ShardsOpenTogetherWhicheverIsNamed) {
  GgufBuilder whole = MakeGguf(hf_, {});
  std::vector<GgufBuilder> parts(3);
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i == 0) AddMetadata(parts[0], hf_.config, Naming::kLlamaCpp);
    parts[i].U16("split.no", static_cast<uint16_t>(i)).U16("split.count", 3);
    parts[i].Value("split.tensors.count", 5, Raw(int32_t{41}));
  }
  size_t n = 0;
  for (const auto& t : whole.tensors()) parts[1 + n++ % 2].Tensor(t.name, t.shape, t.type, t.bytes);
  const auto name = [](int i) { return fmt::format("a-b-{:05}-of-00003.gguf", i); };
  const fs::path folder = temp_.path() / "shards";
  fs::create_directory(folder);
  for (int i = 0; i < 3; ++i) WriteFile(folder / name(i + 1), parts[static_cast<size_t>(i)].Build());
  for (const fs::path& path : {folder / name(1), folder / name(3), folder}) {
    const Checkpoint checkpoint = OpenCheckpoint(path);
    EXPECT_EQ(checkpoint.files.size(), 3u);
    EXPECT_EQ(checkpoint.tensors.size(), 41u);
    ExpectSameValues(hf_.weights, checkpoint.weights);
  }
  fs::rename(folder / name(2), folder / "elsewhere");
  ExpectError(kBad, {"a-b-00002-of-00003.gguf: missing", "3 files"},
              [&] { OpenCheckpoint(folder / name(1)); });
  WriteFile(folder / name(2), parts[2].Build());
  ExpectError(kBad, {name(2), "split.no is 2, expected 1"}, [&] { OpenCheckpoint(folder); });
  parts[1].values()[0] = RawString("split.no") + Raw(uint32_t{8}) + RawString("1");
  WriteFile(folder / name(2), parts[1].Build());
  ExpectError(kBad, {name(2), "split.no is no integer"}, [&] { OpenCheckpoint(folder); });
  parts[2].values().clear();
  WriteFile(folder / name(2), parts[2].Build());
  ExpectError(kBad, {name(3), "is also in"}, [&] { OpenCheckpoint(folder); });
  fs::remove(folder / name(1));
  ExpectError(kBad, {"a-b-00001-of-00003.gguf: missing"}, [&] { OpenCheckpoint(folder); });
}

TEST_F(GgufModel, OllamasBlobsOpenByPathAndByFolder) {
  const fs::path models = temp_.path() / "models";
  const fs::path blob = models / "blobs" / ("sha256-" + std::string(64, 'a'));
  fs::create_directories(models / "blobs");
  WriteFile(blob, MakeGguf(hf_, {Naming::kOllama, kGgufBf16, kGgufBf16, kGgufOllamaMxfp4}).Build());
  WriteFile(models / "blobs" / ("sha256-" + std::string(64, 'b')), "{\"not\":\"a model\"}");
  for (const fs::path& path : {blob, models / "blobs", models}) {
    ExpectSameValues(hf_.weights, OpenCheckpoint(path).weights);
  }
  fs::copy_file(blob, models / "blobs" / ("sha256-" + std::string(64, 'c')));
  ExpectError(kBad, {"2 GGUF models", "name one of them"}, [&] { OpenCheckpoint(models); });
}

// Publishers of GGUF files leave config.json beside them.
TEST_F(GgufModel, AConfigFileBesideItChangesNothingUnlessThereAreSafetensors) {
  const fs::path folder = temp_.path() / "published";
  fs::create_directory(folder);
  fs::copy_file(temp_.path() / "hf/config.json", folder / "config.json");
  WriteFile(folder / "m.gguf", MakeGguf(hf_, {}).Build());
  EXPECT_EQ(OpenCheckpoint(folder).format, "GGUF version 3, llama.cpp's names, MXFP4 experts");
  fs::copy_file(temp_.path() / "hf/model.safetensors", folder / "model.safetensors");
  EXPECT_EQ(OpenCheckpoint(folder).format, hf_.format);
  EXPECT_EQ(OpenCheckpoint(folder / "m.gguf").files.front().path().filename(), "m.gguf");
}

TEST_F(GgufModel, UnknownTensorsAreOnlyWarnedOf) {
  GgufBuilder gguf = MakeGguf(hf_, {});
  gguf.Tensor("rope_freqs.weight", {3}, kGgufF32, std::string(12, '\0')).Tensor("x", {4}, 24, "abcd");
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(Open(gguf.Build()).tensors.size(), 43u);
  EXPECT_NE(::testing::internal::GetCapturedStderr().find("2 tensors are no part of gpt-oss"),
            std::string::npos);
}

// ---- The vocabulary in the file. ----

// "Ā" for byte 0, as GPT-2 writes bytes that do not print.
std::string ByteText(int byte) {
  int character = byte;
  if (byte <= 0x20) character = 0x100 + byte;
  if (byte >= 0x7F && byte <= 0xA0) character = 0x121 + byte - 0x7F;
  if (byte == 0xAD) character = 0x143;
  if (character < 0x80) return {static_cast<char>(character)};
  return {static_cast<char>(0xC0 | character >> 6), static_cast<char>(0x80 | (character & 0x3F))};
}

struct Tokens {
  std::vector<std::string> texts;
  std::vector<int32_t> types;
};
Tokens SmallVocabulary() {
  Tokens tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.texts.push_back(ByteText(byte));
  for (const char* text : {"ab", "bc", "abc", "Ġa"}) tokens.texts.emplace_back(text);
  tokens.types.assign(tokens.texts.size(), 1);
  const auto add = [&](const char* text, int32_t type) {
    tokens.texts.emplace_back(text);
    tokens.types.push_back(type);
  };
  add("<|start|>", 3);
  add("[PAD261]", 5);
  add("<|user|>", 4);
  add("[PAD263]", 4);  // as Ollama pads
  return tokens;
}

TEST_F(GgufModel, TheVocabularyInTheFileMakesATokenizer) {
  GgufBuilder gguf = MakeGguf(hf_, {});
  const Tokens tokens = SmallVocabulary();
  gguf.String("tokenizer.ggml.model", "gpt2").String("tokenizer.ggml.pre", "gpt-4o");
  gguf.Strings("tokenizer.ggml.tokens", tokens.texts).I32s("tokenizer.ggml.token_type", tokens.types);
  {
    const Checkpoint checkpoint = Open(gguf.Build());
    ASSERT_TRUE(checkpoint.vocabulary);
    EXPECT_NE(InspectText(checkpoint).find("a vocabulary of 264 tokens"), std::string::npos);
    const auto tokenizer = MakeTokenizer(*checkpoint.vocabulary);
    EXPECT_EQ(tokenizer->vocab_size(), 263);
    EXPECT_EQ(tokenizer->SpecialId("<|start|>"), 260);
    EXPECT_EQ(tokenizer->SpecialId("<|user|>"), 262);
    EXPECT_FALSE(tokenizer->TokenBytes(261));
    EXPECT_FALSE(tokenizer->TokenBytes(263));
    EXPECT_EQ(tokenizer->TokenBytes(259), " a");
    EXPECT_EQ(tokenizer->Encode("abcz a"), (std::vector<int32_t>{258, 'z', 259}));
    EXPECT_EQ(tokenizer->Encode("<|start|>").size(), 9u);
    EXPECT_EQ(tokenizer->EncodeWithSpecials("<|start|>a"), (std::vector<int32_t>{260, 'a'}));
  }
  // Listed merges count when they are not every split: here "bc" is made by nothing.
  gguf.Strings("tokenizer.ggml.merges", {"a b", "ab c", "Ġ a"});
  const auto tokenizer = MakeTokenizer(*Open(gguf.Build()).vocabulary);
  EXPECT_EQ(tokenizer->Encode("zbc"), (std::vector<int32_t>{'z', 'b', 'c'}));
  EXPECT_EQ(tokenizer->Encode("zabc"), (std::vector<int32_t>{'z', 258}));
}

TEST_F(GgufModel, DamagedVocabulariesAreNamed) {
  const auto expect = [&](ErrorKind kind, const std::vector<std::string>& parts,
                          const std::function<void(GgufBuilder&, Tokens&)>& change, bool types = true,
                          const std::string& model = "gpt2") {
    GgufBuilder gguf = MakeGguf(hf_, {});
    Tokens tokens = SmallVocabulary();
    change(gguf, tokens);
    gguf.String("tokenizer.ggml.model", model).Strings("tokenizer.ggml.tokens", tokens.texts);
    if (types) gguf.I32s("tokenizer.ggml.token_type", tokens.types);
    const Checkpoint checkpoint = Open(gguf.Build());
    ExpectError(kind, parts, [&] { MakeTokenizer(*checkpoint.vocabulary); });
  };
  const auto nothing = [](GgufBuilder&, Tokens&) {};
  expect(kUnsupported, {"vocabulary is \"llama\""}, nothing, true, "llama");
  expect(kUnsupported, {"split \"llama-bpe\""},
         [](GgufBuilder& g, Tokens&) { g.String("tokenizer.ggml.pre", "llama-bpe"); });
  expect(kBad, {"token_type is no array of 264 i32"}, nothing, false);
  expect(kBad, {"token_type is no array of 264 i32"}, [](GgufBuilder&, Tokens& t) { t.types.pop_back(); });
  expect(kBad, {"the text of token 257 is there twice"},
         [](GgufBuilder&, Tokens& t) { t.texts[257] = "ab"; });
  expect(kBad, {"token 256 is not in byte-level form"}, [](GgufBuilder&, Tokens& t) { t.texts[256] = "日"; });
  expect(kBad, {"token 256 has 600 bytes"},
         [](GgufBuilder&, Tokens& t) { t.texts[256] = std::string(600, 'x'); });
  expect(kBad, {"no token for byte 0x41"}, [](GgufBuilder&, Tokens& t) { t.types['A'] = 5; });
  expect(kBad, {"special token 262 is there twice"},
         [](GgufBuilder&, Tokens& t) { t.texts[262] = "<|start|>"; });
  expect(kBad, {"merge 1 names q", "no token"},
         [](GgufBuilder& g, Tokens&) { g.Strings("tokenizer.ggml.merges", {"a b", "qq b"}); });
  expect(kBad, {"merges is no array of strings"},
         [](GgufBuilder& g, Tokens&) { g.I32s("tokenizer.ggml.merges", {1}); });
}

}  // namespace
}  // namespace oxidized
