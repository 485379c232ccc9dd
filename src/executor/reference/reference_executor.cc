#include "executor/reference/reference_executor.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/aligned_buffer.h"
#include "base/error.h"
#include "executor/slots.h"
#include "executor/taps.h"
#include "model/rope.h"

namespace oxidized {
namespace {

// A row-major f32 matrix; row r belongs to row r of the batch.
struct Rows {
  int64_t rows = 0, cols = 0;
  std::vector<float> values;

  Rows(int64_t r, int64_t c) : rows(r), cols(c), values(static_cast<size_t>(r * c)) {}
  float* row(int64_t r) { return values.data() + r * cols; }
  const float* row(int64_t r) const { return values.data() + r * cols; }
};

// Four running sums hide the latency of an addition; their order depends on n alone.
float Dot(const float* a, const float* b, int64_t n) {
  double sums[4] = {};
  int64_t i = 0;
  for (; i + 4 <= n; i += 4) {
    for (int j = 0; j < 4; ++j) sums[j] += static_cast<double>(a[i + j]) * static_cast<double>(b[i + j]);
  }
  for (; i < n; ++i) sums[0] += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return static_cast<float>((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

// y[t] = W x[t] + b
Rows Linear(const Rows& x, const MatrixView& w, const VectorView* bias) {
  Rows y(x.rows, w.rows);
  std::vector<float> weights(static_cast<size_t>(w.cols));
  for (int64_t n = 0; n < w.rows; ++n) {
    w.DecodeRow(n, weights.data());
    const float b = bias != nullptr ? (*bias)[n] : 0.0f;
    for (int64_t t = 0; t < x.rows; ++t) y.row(t)[n] = Dot(x.row(t), weights.data(), w.cols) + b;
  }
  return y;
}

// x / sqrt(mean(x^2) + eps) * scale; the scale multiplies before anything is rounded.
Rows RmsNorm(const Rows& x, const VectorView& scale, float eps) {
  Rows y(x.rows, x.cols);
  for (int64_t t = 0; t < x.rows; ++t) {
    double sum = 0.0;
    for (int64_t i = 0; i < x.cols; ++i)
      sum += static_cast<double>(x.row(t)[i]) * static_cast<double>(x.row(t)[i]);
    const auto factor =
        static_cast<float>(1.0 / std::sqrt(sum / static_cast<double>(x.cols) + static_cast<double>(eps)));
    for (int64_t i = 0; i < x.cols; ++i) y.row(t)[i] = x.row(t)[i] * factor * scale[i];
  }
  return y;
}

void AddTo(Rows& x, const Rows& y) {
  for (size_t i = 0; i < x.values.size(); ++i) x.values[i] += y.values[i];
}

// A block holds [layers of the group, 2 (key, value), B, G*D] floats.
int64_t BlockFloatsOf(const ModelConfig& config, const KvGroup& group) {
  return static_cast<int64_t>(group.layers.size()) * 2 * kKvBlockTokens * config.kv_width();
}

class ReferenceExecutor final : public Executor {
 public:
  ReferenceExecutor(const ModelConfig& config, const WeightsView& weights, const ExecutorLimits& limits)
      : config_(config),
        weights_(weights),
        layout_(config),
        info_(DeriveInfo(config, layout_, limits)),
        rope_(ComputeRopeFrequencies(config.rope, config.head_dim)),
        slots_(limits.max_sequences, config.vocab_size) {
    info_.name = "reference";
    info_.device = "CPU, scalar, one thread";
    info_.precision = "f32";
    for (size_t g = 0; g < layout_.groups.size(); ++g) {
      kv_.emplace_back("KV cache", MemoryClass::kKv,
                       static_cast<size_t>(info_.kv_blocks[g] * BlockFloats(g)));
    }
  }

  const ExecutorInfo& Info() const override { return info_; }

  void ResetSlot(int32_t slot, std::span<const int32_t> reused) override { slots_.Reset(slot, reused); }

  void CopyBlocks(std::span<const BlockCopy> copies) override {
    for (const BlockCopy& copy : copies) {
      const auto group = static_cast<size_t>(copy.group);
      const int64_t floats = BlockFloats(group);
      std::copy_n(kv_[group].data() + copy.from * floats, floats, kv_[group].data() + copy.to * floats);
    }
  }

  StepTicket Submit(const StepBatch& batch) override {
    const auto start = std::chrono::steady_clock::now();
    result_ = StepResult{};
    Step(batch);
    const std::chrono::duration<double, std::micro> elapsed = std::chrono::steady_clock::now() - start;
    result_.stages.push_back({.stage = "step", .microseconds = elapsed.count()});
    return {++last_ticket_};
  }

  void Wait(StepTicket ticket, StepResult& result) override {
    OX_CHECK(ticket.id == last_ticket_);
    std::swap(result, result_);
  }

 private:
  // The whole model, in execution order.
  void Step(const StepBatch& batch) {
    Rows x = Embed(batch);
    Show(batch, tap::kEmbedding, -1, x);
    PrepareRouting(batch);
    for (int32_t layer = 0; layer < config_.num_layers; ++layer) {
      const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];

      Rows h = RmsNorm(x, w.attention_norm, config_.rms_norm_eps);
      Show(batch, tap::kAttentionNorm, layer, h);
      Rows q = Linear(h, w.q, &w.q_bias);
      Rows k = Linear(h, w.k, &w.k_bias);
      const Rows v = Linear(h, w.v, &w.v_bias);
      Rotate(batch, q);
      Rotate(batch, k);
      Show(batch, tap::kQuery, layer, q);
      Show(batch, tap::kKey, layer, k);
      Show(batch, tap::kValue, layer, v);
      StoreKv(batch, layer, k, v);
      const Rows attention = Attend(batch, layer, w.sinks, q);
      Show(batch, tap::kAttention, layer, attention);
      const Rows attention_out = Linear(attention, w.o, &w.o_bias);
      Show(batch, tap::kAttentionOut, layer, attention_out);
      AddTo(x, attention_out);
      Show(batch, tap::kAttentionResidual, layer, x);

      h = RmsNorm(x, w.mlp_norm, config_.rms_norm_eps);
      Show(batch, tap::kMlpNorm, layer, h);
      const Rows router_logits = Linear(h, w.router, &w.router_bias);
      Show(batch, tap::kRouterLogits, layer, router_logits);
      RouteRows(batch, layer, router_logits);
      const Rows moe_out = RunExperts(batch, layer, h);
      Show(batch, tap::kMoeOut, layer, moe_out);
      AddTo(x, moe_out);
      Show(batch, tap::kResidual, layer, x);
    }
    x = RmsNorm(x, weights_.final_norm, config_.rms_norm_eps);
    Show(batch, tap::kFinalNorm, -1, x);
    Unembed(batch, x);
  }

  Rows Embed(const StepBatch& batch) {
    std::vector<int32_t> ids(batch.token_ids.size());
    slots_.Feed(batch, ids);
    Rows x(batch.num_tokens(), config_.hidden_size);
    for (int64_t t = 0; t < x.rows; ++t) weights_.embedding.DecodeRow(ids[static_cast<size_t>(t)], x.row(t));
    return x;
  }

  // Rotary embedding on every head of every row: element i pairs with i + D/2.
  void Rotate(const StepBatch& batch, Rows& x) {
    const int32_t half = config_.head_dim / 2;
    std::vector<float> cos(static_cast<size_t>(half)), sin(static_cast<size_t>(half));
    for (int64_t t = 0; t < x.rows; ++t) {
      RopeCosSin(rope_, batch.positions[static_cast<size_t>(t)], cos.data(), sin.data());
      for (float* head = x.row(t); head < x.row(t) + x.cols; head += config_.head_dim) {
        for (int32_t i = 0; i < half; ++i) {
          const float a = head[i], b = head[i + half];
          const float c = cos[static_cast<size_t>(i)], s = sin[static_cast<size_t>(i)];
          head[i] = a * c - b * s;
          head[i + half] = b * c + a * s;
        }
      }
    }
  }

  void StoreKv(const StepBatch& batch, int32_t layer, const Rows& k, const Rows& v) {
    for (int32_t s = 0; s < batch.num_sequences(); ++s) {
      for (int64_t t = Begin(batch, s); t < End(batch, s); ++t) {
        const int64_t position = batch.positions[static_cast<size_t>(t)];
        std::copy_n(k.row(t), k.cols, KvRow(batch, layer, s, position, 0));
        std::copy_n(v.row(t), v.cols, KvRow(batch, layer, s, position, 1));
      }
    }
  }

  // Softmax over the visible keys and the head's sink, which adds to the denominator and carries no value.
  Rows Attend(const StepBatch& batch, int32_t layer, const VectorView& sinks, const Rows& q) {
    const int32_t d = config_.head_dim;
    const int32_t window = layout_.groups[static_cast<size_t>(GroupOf(layer))].window;
    const double scale = 1.0 / std::sqrt(static_cast<double>(d));
    Rows out(q.rows, q.cols);
    std::vector<double> p;
    for (int32_t s = 0; s < batch.num_sequences(); ++s) {
      for (int64_t t = Begin(batch, s); t < End(batch, s); ++t) {
        const int64_t last = batch.positions[static_cast<size_t>(t)];
        const int64_t first = window > 0 ? std::max<int64_t>(0, last - window + 1) : 0;
        for (int32_t head = 0; head < config_.num_heads; ++head) {
          const int64_t kv_offset = head / config_.heads_per_kv() * d;
          const double sink = sinks[head];
          double highest = sink;
          p.clear();
          for (int64_t j = first; j <= last; ++j) {
            const float* key = KvRow(batch, layer, s, j, 0) + kv_offset;
            p.push_back(static_cast<double>(Dot(q.row(t) + head * d, key, d)) * scale);
            highest = std::max(highest, p.back());
          }
          double total = std::exp(sink - highest);
          for (double& score : p) total += score = std::exp(score - highest);
          std::vector<double> sum(static_cast<size_t>(d));
          for (int64_t j = first; j <= last; ++j) {
            const float* value = KvRow(batch, layer, s, j, 1) + kv_offset;
            const double a = p[static_cast<size_t>(j - first)] / total;
            for (int32_t i = 0; i < d; ++i) sum[static_cast<size_t>(i)] += a * static_cast<double>(value[i]);
          }
          for (int32_t i = 0; i < d; ++i)
            out.row(t)[head * d + i] = static_cast<float>(sum[static_cast<size_t>(i)]);
        }
      }
    }
    return out;
  }

  void PrepareRouting(const StepBatch& batch) {
    int32_t stride = 1;
    for (const RoutingPolicy& policy : batch.policies) {
      stride = std::max(stride, ExpertsPerToken(policy, config_.experts_per_token));
    }
    result_.routing.Resize(config_.num_layers, batch.num_tokens(), stride,
                           batch.router_logits ? config_.most_experts() : 0);
  }

  // Sequence by sequence: batch mates never influence each other.
  void RouteRows(const StepBatch& batch, int32_t layer, const Rows& logits) {
    for (int32_t s = 0; s < batch.num_sequences(); ++s) {
      const int32_t begin = Begin(batch, s), end = End(batch, s);
      const RoutingPolicy& policy = batch.policies[batch.policy[static_cast<size_t>(s)]];
      Route(policy, config_.experts_per_token,
            std::span(logits.row(begin), static_cast<size_t>((end - begin) * logits.cols)),
            config_.layer(layer).num_experts, result_.routing.Rows(layer, batch.num_tokens(), begin, end));
    }
    result_.routing.KeepLogits(layer, batch.num_tokens(), logits.values);
  }

  // Expert by expert, so that each one's weights are decoded once; a token's contributions are summed in rank
  // order.
  Rows RunExperts(const StepBatch& batch, int32_t layer, const Rows& h) {
    const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
    const RoutedRows routed = result_.routing.Rows(layer, batch.num_tokens(), 0, batch.num_tokens());
    const int32_t stride = routed.stride;
    Rows contributions(h.rows * stride, config_.hidden_size);
    std::vector<float> row(static_cast<size_t>(std::max(config_.hidden_size, config_.expert_width)));

    for (int32_t e = 0; e < config_.layer(layer).num_experts; ++e) {
      std::vector<int64_t> places;  // t * stride + rank of the choices that this expert serves
      for (size_t i = 0; i < routed.experts.size(); ++i) {
        if (routed.experts[i] == e) places.push_back(static_cast<int64_t>(i));
      }
      if (places.empty()) continue;
      const auto count = static_cast<int64_t>(places.size());
      const ExpertView& gate_up = w.gate_up[static_cast<size_t>(e)];
      const ExpertView& down = w.down[static_cast<size_t>(e)];

      Rows gu(count, gate_up.rows);
      for (int64_t n = 0; n < gate_up.rows; ++n) {
        gate_up.DecodeRow(n, row.data());
        for (int64_t i = 0; i < count; ++i) {
          const float* x = h.row(places[static_cast<size_t>(i)] / stride);
          gu.row(i)[n] = Dot(x, row.data(), gate_up.cols) + gate_up.bias_at(n);
        }
      }
      Rows y(count, config_.expert_width);
      for (int64_t i = 0; i < count; ++i) {
        for (int64_t j = 0; j < y.cols; ++j) y.row(i)[j] = SwiGlu(gu.row(i)[2 * j], gu.row(i)[2 * j + 1]);
      }
      for (int64_t n = 0; n < down.rows; ++n) {
        down.DecodeRow(n, row.data());
        for (int64_t i = 0; i < count; ++i) {
          contributions.row(places[static_cast<size_t>(i)])[n] =
              Dot(y.row(i), row.data(), down.cols) + down.bias_at(n);
        }
      }
    }

    Rows out(h.rows, config_.hidden_size);
    for (int64_t t = 0; t < h.rows; ++t) {
      for (int32_t rank = 0; rank < stride; ++rank) {
        const int64_t place = t * stride + rank;
        if (routed.experts[static_cast<size_t>(place)] < 0) continue;
        const float weight = routed.weights[static_cast<size_t>(place)];
        for (int64_t i = 0; i < out.cols; ++i) out.row(t)[i] += weight * contributions.row(place)[i];
      }
    }
    return out;
  }

  // The gate is clamped from above only; the up unit on both sides, then shifted by one.
  float SwiGlu(float gate, float up) const {
    gate = std::min(gate, config_.swiglu_limit);
    up = std::clamp(up, -config_.swiglu_limit, config_.swiglu_limit);
    return gate / (1.0f + std::exp(-config_.swiglu_alpha * gate)) * (up + 1.0f);
  }

  // Logits only of the rows that somebody asked for.
  void Unembed(const StepBatch& batch, const Rows& x) {
    std::vector<int64_t> wanted;
    for (int32_t s = 0; s < batch.num_sequences(); ++s) {
      if (batch.logits.empty() || batch.logits[static_cast<size_t>(s)] == nullptr) continue;
      for (int64_t t = Begin(batch, s); t < End(batch, s); ++t) wanted.push_back(t);
    }
    for (const SampleSpec& spec : batch.samples) wanted.push_back(spec.row);
    std::sort(wanted.begin(), wanted.end());
    wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());

    Rows picked(static_cast<int64_t>(wanted.size()), x.cols);
    for (size_t i = 0; i < wanted.size(); ++i) {
      std::copy_n(x.row(wanted[i]), x.cols, picked.row(static_cast<int64_t>(i)));
    }
    const Rows logits = Linear(picked, weights_.unembedding, nullptr);
    Show(batch, tap::kLogits, -1, logits);
    const auto logits_of = [&](int64_t t) {
      const auto i = std::lower_bound(wanted.begin(), wanted.end(), t) - wanted.begin();
      return std::span<const float>(logits.row(i), static_cast<size_t>(logits.cols));
    };
    for (int32_t s = 0; s < batch.num_sequences(); ++s) {
      LogitsSink* sink = batch.logits.empty() ? nullptr : batch.logits[static_cast<size_t>(s)];
      if (sink == nullptr) continue;
      for (int64_t t = Begin(batch, s); t < End(batch, s); ++t) {
        sink->Row(batch.positions[static_cast<size_t>(t)], logits_of(t));
      }
    }
    slots_.Sample(batch, [&](size_t i) { return logits_of(batch.samples[i].row); }, nullptr, result_.samples);
  }

  void Show(const StepBatch& batch, std::string_view name, int32_t layer, const Rows& rows) {
    if (batch.taps != nullptr) batch.taps->Tap(name, layer, rows.values, rows.cols);
  }

  static int32_t Begin(const StepBatch& batch, int32_t s) {
    return batch.query_start[static_cast<size_t>(s)];
  }
  static int32_t End(const StepBatch& batch, int32_t s) {
    return batch.query_start[static_cast<size_t>(s) + 1];
  }

  int32_t GroupOf(int32_t layer) const { return layout_.group_of_layer[static_cast<size_t>(layer)]; }

  int64_t BlockFloats(size_t group) const { return BlockFloatsOf(config_, layout_.groups[group]); }

  float* KvRow(const StepBatch& batch, int32_t layer, int32_t sequence, int64_t position,
               int64_t key_or_value) {
    const auto group = static_cast<size_t>(GroupOf(layer));
    const auto s = static_cast<size_t>(sequence);
    const BlockTables& tables = batch.kv[group];
    const int64_t offset = position - tables.first_position[s];
    const int64_t index = tables.offsets[s] + offset / kKvBlockTokens;
    OX_CHECK(offset >= 0 && index < tables.offsets[s + 1]);
    const int64_t block = tables.block_ids[static_cast<size_t>(index)];
    const int64_t layer_in_group = layout_.index_in_group[static_cast<size_t>(layer)];
    const int64_t row = (layer_in_group * 2 + key_or_value) * kKvBlockTokens + offset % kKvBlockTokens;
    return kv_[group].data() + block * BlockFloats(group) + row * config_.kv_width();
  }

  const ModelConfig config_;
  const WeightsView& weights_;
  const KvLayout layout_;
  ExecutorInfo info_;
  const RopeFrequencies rope_;
  Slots slots_;
  std::vector<AlignedBuffer<float>> kv_;
  StepResult result_;
  uint64_t last_ticket_ = 0;
};

}  // namespace

ReferenceMemoryNeed EstimateReferenceMemory(const ModelConfig& c, const ExecutorLimits& limits) {
  constexpr int64_t kFloat = sizeof(float);
  const KvLayout layout(c);
  const ExecutorInfo info = DeriveInfo(c, layout, limits);
  ReferenceMemoryNeed need;
  for (size_t g = 0; g < layout.groups.size(); ++g)
    need.kv_bytes += info.kv_blocks[g] * BlockFloatsOf(c, layout.groups[g]) * kFloat;
  // The residual, what a sub-layer reads and what it makes; q, k, v and attention; router logits; each chosen
  // expert's output.
  const int64_t row = (4 + int64_t{c.experts_per_token}) * c.hidden_size + 2 * int64_t{c.query_width()} +
                      2 * int64_t{c.kv_width()} + c.most_experts();
  need.activation_bytes = (info.max_step_tokens * row + int64_t{info.max_sequences} * c.vocab_size) * kFloat;
  return need;
}

std::unique_ptr<Executor> MakeReferenceExecutor(const ModelConfig& config, const WeightsView& weights,
                                                const ExecutorLimits& limits) {
  return std::make_unique<ReferenceExecutor>(config, weights, limits);
}

}  // namespace oxidized
