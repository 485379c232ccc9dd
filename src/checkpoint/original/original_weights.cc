#include "checkpoint/original/original_weights.h"

#include <fmt/core.h>

#include "checkpoint/message_text.h"
#include "checkpoint/refusals.h"
#include "checkpoint/tensor_binder.h"

namespace oxidized {
namespace {

// openai/gpt-oss gpt_oss/torch/weights.py
LayerWeights BindLayer(TensorBinder& binder, const ModelConfig& c, const std::string& block) {
  const std::string attention = block + "attn.", mlp = block + "mlp.";
  const int64_t query = c.query_width(), kv = c.kv_width();
  LayerWeights w;
  w.attention_norm = binder.Vector(attention + "norm.scale", c.hidden_size);
  const MatrixView qkv = binder.Matrix(attention + "qkv.weight", query + 2 * kv, c.hidden_size);
  const VectorView qkv_bias = binder.Vector(attention + "qkv.bias", query + 2 * kv);
  w.q = RowsOf(qkv, 0, query);
  w.k = RowsOf(qkv, query, kv);
  w.v = RowsOf(qkv, query + kv, kv);
  w.q_bias = RowsOf(qkv_bias, 0, query);
  w.k_bias = RowsOf(qkv_bias, query, kv);
  w.v_bias = RowsOf(qkv_bias, query + kv, kv);
  w.sinks = binder.Vector(attention + "sinks", c.num_heads);
  w.o = binder.Matrix(attention + "out.weight", c.hidden_size, query);
  w.o_bias = binder.Vector(attention + "out.bias", c.hidden_size);
  w.mlp_norm = binder.Vector(mlp + "norm.scale", c.hidden_size);
  w.router = binder.Matrix(mlp + "gate.weight", c.num_experts, c.hidden_size);
  w.router_bias = binder.Vector(mlp + "gate.bias", c.num_experts);
  const auto experts = [&](const std::string& name, int64_t rows, int64_t cols) {
    const ExpertNames names{name + "_weight.blocks", name + "_weight.scales", name + "_weight",
                            ExpertLayout::kRows, name + "_bias"};
    return binder.Experts(names, c.num_experts, rows, cols, /*mxfp4=*/true);
  };
  w.gate_up = experts(mlp + "mlp1", int64_t{2} * c.expert_width, c.hidden_size);
  w.down = experts(mlp + "mlp2", c.hidden_size, c.expert_width);
  return w;
}

// The containers alone do not tell packed values from bytes; dtypes.json must agree with how they are read.
void CheckDtypes(const ModelFiles& files, const OriginalDtypes& dtypes, TensorBinder& binder) {
  for (const auto& [tensor, stored] : files.tensors) {
    const auto found = dtypes.find(tensor);
    if (found == dtypes.end()) continue;
    const bool blocks = tensor.ends_with("_weight.blocks"), scales = tensor.ends_with("_weight.scales");
    const auto expected = blocks ? OriginalType::kFp4 : scales ? OriginalType::kUe8 : OriginalType::kFloat;
    if (found->second == expected) continue;
    const char* name = blocks ? "FP4" : scales ? "UE8" : "BF16, F16 or F32";
    binder.AddProblem(fmt::format("{} has another type in dtypes.json, expected {}", Quoted(tensor), name));
  }
}

}  // namespace

WeightsView BindOriginalWeights(const ModelConfig& c, const ModelFiles& files, const OriginalDtypes& dtypes,
                                const std::string& source) {
  RefuseFp8Tensors(files, source);
  TensorBinder binder(files, source);
  WeightsView view;
  view.embedding = binder.Matrix("embedding.weight", c.vocab_size, c.hidden_size);
  for (int32_t layer = 0; layer < c.num_layers; ++layer) {
    view.layers.push_back(BindLayer(binder, c, fmt::format("block.{}.", layer)));
  }
  view.final_norm = binder.Vector("norm.scale", c.hidden_size);
  view.unembedding = binder.Matrix("unembedding.weight", c.vocab_size, c.hidden_size);
  CheckDtypes(files, dtypes, binder);
  binder.ThrowIfBroken();
  binder.WarnOfUnused();
  return view;
}

}  // namespace oxidized
