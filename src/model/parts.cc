#include "model/parts.h"

#include "base/error.h"

namespace oxidized {
namespace {

MatrixView AsMatrix(const VectorView& vector) { return {vector.data, vector.dtype, vector.size, 1}; }

}  // namespace

const char* Name(Part part) {
  switch (part) {
    case Part::kEmbedding:
      return "embedding";
    case Part::kUnembedding:
      return "unembedding";
    case Part::kFinalNorm:
      return "final norm";
    case Part::kAttentionNorm:
      return "attention norm";
    case Part::kQ:
      return "query weight";
    case Part::kQBias:
      return "query bias";
    case Part::kK:
      return "key weight";
    case Part::kKBias:
      return "key bias";
    case Part::kV:
      return "value weight";
    case Part::kVBias:
      return "value bias";
    case Part::kSinks:
      return "sinks";
    case Part::kO:
      return "attention output weight";
    case Part::kOBias:
      return "attention output bias";
    case Part::kMlpNorm:
      return "MLP norm";
    case Part::kRouter:
      return "router weight";
    case Part::kRouterBias:
      return "router bias";
    case Part::kGateUp:
      return "gate_up of the experts";
    case Part::kDown:
      return "down of the experts";
  }
  return "";
}

PartShape ShapeOf(const ModelConfig& c, Part part) {
  switch (part) {
    case Part::kEmbedding:
    case Part::kUnembedding:
      return {c.vocab_size, c.hidden_size};
    case Part::kQ:
      return {c.query_width(), c.hidden_size};
    case Part::kQBias:
      return {c.query_width(), 1};
    case Part::kK:
    case Part::kV:
      return {c.kv_width(), c.hidden_size};
    case Part::kKBias:
    case Part::kVBias:
      return {c.kv_width(), 1};
    case Part::kSinks:
      return {c.num_heads, 1};
    case Part::kO:
      return {c.hidden_size, c.query_width()};
    case Part::kRouter:
      return {c.num_experts, c.hidden_size};
    case Part::kRouterBias:
      return {c.num_experts, 1};
    case Part::kGateUp:
      return {int64_t{2} * c.expert_width, c.hidden_size};
    case Part::kDown:
      return {c.hidden_size, c.expert_width};
    default:  // norms and the bias of the attention's output
      return {c.hidden_size, 1};
  }
}

MatrixView DensePart(const WeightsView& weights, Part part, int32_t layer) {
  if (part == Part::kEmbedding) return weights.embedding;
  if (part == Part::kUnembedding) return weights.unembedding;
  if (part == Part::kFinalNorm) return AsMatrix(weights.final_norm);
  const LayerWeights& w = weights.layers[static_cast<size_t>(layer)];
  switch (part) {
    case Part::kAttentionNorm:
      return AsMatrix(w.attention_norm);
    case Part::kQ:
      return w.q;
    case Part::kQBias:
      return AsMatrix(w.q_bias);
    case Part::kK:
      return w.k;
    case Part::kKBias:
      return AsMatrix(w.k_bias);
    case Part::kV:
      return w.v;
    case Part::kVBias:
      return AsMatrix(w.v_bias);
    case Part::kSinks:
      return AsMatrix(w.sinks);
    case Part::kO:
      return w.o;
    case Part::kOBias:
      return AsMatrix(w.o_bias);
    case Part::kMlpNorm:
      return AsMatrix(w.mlp_norm);
    case Part::kRouter:
      return w.router;
    default:
      OX_CHECK(part == Part::kRouterBias);
      return AsMatrix(w.router_bias);
  }
}

}  // namespace oxidized
