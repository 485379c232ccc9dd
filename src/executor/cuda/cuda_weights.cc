#include "executor/cuda/cuda_weights.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "executor/cuda/matrix_upload.h"
#include "kv/kv_layout.h"
#include "model/rope.h"
#include "tensor/mxfp4.h"

namespace oxidized::cuda {
namespace {

int PlanesOf(DType dtype) { return dtype == DType::kBF16 ? 1 : dtype == DType::kF16 ? 2 : 3; }

bool ScalesFit(const ExpertView& e) {
  const bool apart = LayoutRow(e.layout).scales == ScalePlace::kOwnMatrix;
  const int64_t stored_rows = e.up_values == nullptr ? e.rows : e.rows / 2;
  const int64_t blocks = stored_rows * (e.cols / kMxfp4BlockElements);
  for (const std::byte* values : {e.values, e.up_values}) {
    if (values == nullptr) continue;
    const std::byte* scale = apart ? e.scales : values;
    const int64_t step = apart ? 1 : kMxfp4BlockBytes + 1;
    for (int64_t i = 0; i < blocks; ++i) {
      if (static_cast<int>(scale[i * step]) > kMostScale) return false;
    }
  }
  return true;
}

Matrix FormOf(const ExpertView& e, bool look) {
  if (!IsMxfp4(e.layout)) return MatrixOf(Form::kBf16Planes, PlanesOf(e.dtype), e.rows, e.cols);
  if (look && !ScalesFit(e)) return MatrixOf(Form::kBf16Planes, 1, e.rows, e.cols);
  return MatrixOf(Form::kMxfp4, 1, e.rows, e.cols);
}

TableType TableTypeOf(DType dtype) {
  return dtype == DType::kBF16 ? TableType::kBf16 : dtype == DType::kF16 ? TableType::kF16 : TableType::kF32;
}

}  // namespace

Arithmetic ArithmeticOf(Precision precision, const WeightsView& weights) {
  switch (precision) {
    case Precision::kF32:
      return Arithmetic::kF32;
    case Precision::kBf16:
      return Arithmetic::kBf16;
    case Precision::kF16:
      return Arithmetic::kF16;
    case Precision::kAuto:
      break;
  }
  const DType stored = weights.unembedding.dtype;
  return stored == DType::kF32   ? Arithmetic::kF32
         : stored == DType::kF16 ? Arithmetic::kF16
                                 : Arithmetic::kBf16;
}

DeviceWeights::DeviceWeights(const ModelConfig& config, const WeightsView& weights, Arithmetic arithmetic,
                             int64_t max_context, bool look)
    : config_(config), weights_(weights), max_context_(max_context), look_(look) {
  const ModelConfig& c = config;
  model_.layers = c.num_layers;
  model_.m = c.hidden_size;
  model_.heads = c.num_heads;
  model_.kv_heads = c.num_kv_heads;
  model_.d = c.head_dim;
  model_.f = c.expert_width;
  model_.v = c.vocab_size;
  model_.most_experts = c.most_experts();
  model_.eps = c.rms_norm_eps;
  model_.alpha = c.swiglu_alpha;
  model_.limit = c.swiglu_limit;
  model_.embedding_type = TableTypeOf(weights.embedding.dtype);
  model_.head = MatrixOf(Form::kBf16Planes, PlanesOf(weights.unembedding.dtype), c.vocab_size, c.hidden_size);
  model_.arithmetic = arithmetic;
  const KvLayout layout(c);
  model_.kv_groups = static_cast<int32_t>(layout.groups.size());
  for (int32_t l = 0; l < c.num_layers; ++l) {
    const LayerWeights& w = weights.layers[static_cast<size_t>(l)];
    LayerPlace& place = layers_.emplace_back();
    LayerArgs& args = place.args;
    const int planes = std::max({PlanesOf(w.q.dtype), PlanesOf(w.k.dtype), PlanesOf(w.v.dtype)});
    args.qkv = MatrixOf(Form::kBf16Planes, planes, w.q.rows + w.k.rows + w.v.rows, c.hidden_size);
    args.out = MatrixOf(Form::kBf16Planes, PlanesOf(w.o.dtype), w.o.rows, w.o.cols);
    args.num_experts = c.layer(l).num_experts;
    args.window = c.layer(l).window.value_or(0);
    args.group = layout.group_of_layer[static_cast<size_t>(l)];
    args.index_in_group = layout.index_in_group[static_cast<size_t>(l)];
    for (size_t e = 0; e < w.gate_up.size(); ++e) {
      ExpertArgs expert = {};
      expert.gate_up = FormOf(w.gate_up[e], look);
      expert.down = FormOf(w.down[e], look);
      place.experts.push_back(expert);
    }
  }
  LayOut();
}

// Every pointer, from the two bases; without them only what it takes.
void DeviceWeights::LayOut() {
  Arena small(small_base_), large(large_base_);
  const auto place = [&](Matrix& m) { m.units = large.Take<uint8_t>(m.bytes()); };
  const ModelConfig& c = config_;
  model_on_card_ = small.Take<ModelArgs>(1);
  layers_on_card_ = small.Take<LayerArgs>(c.num_layers);
  model_.layer = layers_on_card_;
  model_.rotation = small.Take<Rotation>(max_context_ * (c.head_dim / 2));
  model_.final_norm = small.Take<float>(c.hidden_size);
  for (LayerPlace& layer : layers_) {
    LayerArgs& args = layer.args;
    const int64_t experts = std::ssize(layer.experts);
    args.attention_norm = small.Take<float>(c.hidden_size);
    args.mlp_norm = small.Take<float>(c.hidden_size);
    args.qkv_bias = small.Take<float>(args.qkv.rows);
    args.sinks = small.Take<float>(c.num_heads);
    args.out_bias = small.Take<float>(c.hidden_size);
    args.router = small.Take<float>(experts * c.hidden_size);
    args.router_bias = small.Take<float>(experts);
    args.experts = layer.experts_on_card = small.Take<ExpertArgs>(experts);
    for (ExpertArgs& expert : layer.experts) {
      expert.gate_up_bias = small.Take<float>(expert.gate_up.rows);
      expert.down_bias = small.Take<float>(expert.down.rows);
    }
  }

  const int64_t before_embedding = large.used();
  const int64_t value_bytes = model_.embedding_type == TableType::kF32 ? 4 : 2;
  model_.embedding = large.Take<uint8_t>(int64_t{c.vocab_size} * c.hidden_size * value_bytes);
  embedding_bytes_ = large.used() - before_embedding;
  place(model_.head);
  for (LayerPlace& layer : layers_) {
    place(layer.args.qkv);
    place(layer.args.out);
  }
  bytes_.dense = large.used() + small.used();
  for (LayerPlace& layer : layers_) {
    for (ExpertArgs& expert : layer.experts) {
      place(expert.gate_up);
      place(expert.down);
    }
  }
  small_bytes_ = small.used();
  large_bytes_ = large.used();
  bytes_.experts = small_bytes_ + large_bytes_ - bytes_.dense;
}

void DeviceWeights::FillSmall() {
  small_.assign(static_cast<size_t>(small_bytes_), 0);
  const auto at = [&](const void* on_card) {
    return small_.data() + (static_cast<const uint8_t*>(on_card) - small_base_);
  };
  const auto floats = [&](const float* on_card) { return reinterpret_cast<float*>(at(on_card)); };
  const ModelConfig& c = config_;
  std::memcpy(at(model_on_card_), &model_, sizeof(model_));
  weights_.final_norm.Decode(floats(model_.final_norm));
  const RopeFrequencies rope = ComputeRopeFrequencies(c.rope, c.head_dim);
  const int64_t pairs = c.head_dim / 2;
  std::vector<float> cosines(static_cast<size_t>(pairs)), sines(cosines.size());
  auto* rotation = reinterpret_cast<Rotation*>(at(model_.rotation));
  for (int64_t position = 0; position < max_context_; ++position) {
    RopeCosSin(rope, position, cosines.data(), sines.data());
    for (int64_t i = 0; i < pairs; ++i)
      rotation[position * pairs + i] = {cosines[static_cast<size_t>(i)], sines[static_cast<size_t>(i)]};
  }
  for (size_t l = 0; l < layers_.size(); ++l) {
    const LayerWeights& w = weights_.layers[l];
    const LayerPlace& layer = layers_[l];
    const LayerArgs& args = layer.args;
    std::memcpy(at(layers_on_card_ + l), &args, sizeof(args));
    std::memcpy(at(layer.experts_on_card), layer.experts.data(), layer.experts.size() * sizeof(ExpertArgs));
    w.attention_norm.Decode(floats(args.attention_norm));
    w.mlp_norm.Decode(floats(args.mlp_norm));
    w.sinks.Decode(floats(args.sinks));
    w.o_bias.Decode(floats(args.out_bias));
    w.router_bias.Decode(floats(args.router_bias));
    for (int64_t e = 0; e < w.router.rows; ++e)
      w.router.DecodeRow(e, floats(args.router) + e * c.hidden_size);
    float* bias = floats(args.qkv_bias);
    for (int64_t r = 0; r < args.qkv.rows; ++r) {
      const QkvRow row = QkvRowAt(c, r);
      const VectorView* biases[] = {&w.q_bias, &w.k_bias, &w.v_bias};
      bias[r] = (*biases[row.matrix])[row.row];
    }
    for (size_t e = 0; e < layer.experts.size(); ++e) {
      float* gate_up = floats(layer.experts[e].gate_up_bias);
      for (int64_t r = 0; r < w.gate_up[e].rows; ++r) gate_up[r] = w.gate_up[e].bias_at(r);
      w.down[e].bias.Decode(floats(layer.experts[e].down_bias));
    }
  }
}

void DeviceWeights::Upload(Stream& stream, const std::vector<KvGroupArgs>& kv,
                           const std::function<void(int64_t, int64_t)>& progress) {
  small_memory_ = DeviceMemory(small_bytes_);
  large_memory_ = DeviceMemory(large_bytes_);
  small_base_ = small_memory_.data();
  large_base_ = large_memory_.data();
  LayOut();
  for (LayerPlace& layer : layers_) layer.args.kv = kv[static_cast<size_t>(layer.args.group)];
  FillSmall();
  stream.ToDevice(small_base_, small_.data(), small_bytes_);
  small_ = {};

  int64_t done = 0;
  const auto step = [&](int64_t bytes) {
    done += bytes;
    if (progress) progress(done, large_bytes_);
  };
  MatrixUpload upload(stream);
  upload.Table(weights_.embedding, const_cast<void*>(model_.embedding));
  step(embedding_bytes_);
  upload.Dense(weights_.unembedding, model_.head);
  step(model_.head.bytes());
  for (size_t l = 0; l < layers_.size(); ++l) {
    const LayerWeights& w = weights_.layers[l];
    const LayerPlace& layer = layers_[l];
    upload.Qkv(config_, w, layer.args.qkv);
    upload.Dense(w.o, layer.args.out);
    step(layer.args.qkv.bytes() + layer.args.out.bytes());
    for (size_t e = 0; e < layer.experts.size(); ++e) {
      upload.Expert(w.gate_up[e], layer.experts[e].gate_up);
      upload.Expert(w.down[e], layer.experts[e].down);
      step(layer.experts[e].gate_up.bytes() + layer.experts[e].down.bytes());
    }
  }
  stream.Wait();
}

std::vector<const Matrix*> DeviceWeights::matrices() const {
  std::vector<const Matrix*> all = {&model_.head};
  for (const LayerPlace& layer : layers_) {
    all.insert(all.end(), {&layer.args.qkv, &layer.args.out});
    for (const ExpertArgs& expert : layer.experts) all.insert(all.end(), {&expert.gate_up, &expert.down});
  }
  return all;
}

}  // namespace oxidized::cuda
