#include "model/costs.h"

namespace oxidized {
namespace {

int64_t Bytes(const VectorView& v) { return v.size * Bits(v.dtype) / 8; }
int64_t Bytes(const MatrixView& m) { return m.bytes(); }

}  // namespace

ModelCosts ComputeCosts(const ModelConfig& config, const WeightsView& weights) {
  ModelCosts costs;
  const auto vector = [&](const VectorView& v) {
    costs.parameters += v.size;
    costs.weight_bytes += Bytes(v);
    costs.decode_bytes += Bytes(v);
  };
  const auto matrix = [&](const MatrixView& m, bool prefill = true) {
    costs.parameters += m.rows * m.cols;
    costs.weight_bytes += Bytes(m);
    costs.decode_bytes += Bytes(m);
    costs.decode_flops += 2 * m.rows * m.cols;
    if (prefill) costs.prefill_flops += 2 * m.rows * m.cols;
  };
  for (const LayerWeights& layer : weights.layers) {
    for (const VectorView* v : {&layer.attention_norm, &layer.q_bias, &layer.k_bias, &layer.v_bias,
                                &layer.sinks, &layer.o_bias, &layer.mlp_norm, &layer.router_bias}) {
      vector(*v);
    }
    for (const MatrixView* m : {&layer.q, &layer.k, &layer.v, &layer.o, &layer.router}) matrix(*m);
    for (const auto* experts : {&layer.gate_up, &layer.down}) {
      for (const ExpertView& expert : *experts) {
        costs.parameters += expert.rows * expert.cols + expert.bias.size + expert.up_bias.size;
        costs.expert_bytes += expert.bytes();
      }
      const ExpertView& one = experts->front();
      costs.decode_bytes += config.experts_per_token * one.bytes();
      costs.decode_flops += 2 * config.experts_per_token * one.rows * one.cols;
      costs.prefill_flops += 2 * config.experts_per_token * one.rows * one.cols;
    }
  }
  costs.weight_bytes += costs.expert_bytes;
  vector(weights.final_norm);
  matrix(weights.unembedding, /*prefill=*/false);
  costs.parameters += weights.embedding.rows * weights.embedding.cols;
  costs.weight_bytes += Bytes(weights.embedding);
  costs.kv_elements_per_token = 2 * config.kv_width();
  return costs;
}

}  // namespace oxidized
