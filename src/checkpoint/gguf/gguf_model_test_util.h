// The mini model of checkpoint_test_util.h as GGUF files, and the fixture of the tests that open them.
#pragma once

#include <gtest/gtest.h>

#include <bit>

#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf/gguf_test_util.h"
#include "rewrite/testing/checkpoint_test_util.h"
#include "tensor/float16.h"
#include "tensor/mxfp4.h"

namespace oxidized::testing {

enum class Naming { kLlamaCpp, kOllama };

struct Form {
  Naming naming = Naming::kLlamaCpp;
  uint32_t vectors = kGgufF32;
  uint32_t dense = kGgufBf16;
  uint32_t experts = kGgufMxfp4;
};

// ---- Values of a stored type from f32; block types only where the values fit them. ----

inline std::string Encode(const std::vector<float>& values, uint32_t type) {
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

inline std::vector<float> Values(const VectorView& v) {
  std::vector<float> values(static_cast<size_t>(v.size));
  v.Decode(values.data());
  return values;
}
inline std::vector<float> Values(const MatrixView& m) {
  std::vector<float> values(static_cast<size_t>(m.rows * m.cols));
  for (int64_t r = 0; r < m.rows; ++r) m.DecodeRow(r, values.data() + r * m.cols);
  return values;
}
// Rows first, first + step, …
inline std::vector<float> Rows(const std::vector<ExpertView>& experts, int64_t first, int64_t step) {
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
inline std::vector<float> Biases(const std::vector<ExpertView>& experts, int64_t first, int64_t step) {
  std::vector<float> values;
  for (const ExpertView& expert : experts) {
    for (int64_t r = first; r < expert.rows; r += step) values.push_back(expert.bias_at(r));
  }
  return values;
}

// ---- The mini model as GGUF. ----

inline void AddMetadata(GgufBuilder& gguf, const ModelConfig& c, Naming naming) {
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

inline GgufBuilder MakeGguf(const Checkpoint& from, const Form& form) {
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
inline HfWriteRequest FiniteRequest(const fs::path& out) {
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

}  // namespace oxidized::testing
