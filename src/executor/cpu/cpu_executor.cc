#include "executor/cpu/cpu_executor.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "executor/cpu/cpu_memory.h"
#include "executor/cpu/expert_groups.h"
#include "executor/cpu/stage_clock.h"
#include "executor/slots.h"
#include "executor/taps.h"
#include "model/rope.h"
#include "parallel/cpu_topology.h"
#include "parallel/thread_team.h"

namespace oxidized {
namespace {

using DenseProduct = void (*)(const DenseArgs&, int64_t, int64_t);
using ExpertProduct = void (*)(const ExpertArgs&, int64_t, int64_t);
using AttentionKernel = void (*)(const AttentionArgs&);

constexpr int64_t kRowGranule = 4;  // weight rows are cut between threads at multiples of a register tile
constexpr int64_t kLeastLogitRows = 32;  // rows of logits made in one pass over the unembedding

struct PrecisionRow {
  CpuPrecision precision;
  const char* name;
  Rounding rounding;
  DType kv_type;
};
constexpr PrecisionRow kPrecisions[] = {
    {CpuPrecision::kF32, "f32", Rounding::kNone, DType::kF32},
    {CpuPrecision::kBf16, "bf16", Rounding::kBf16, DType::kBF16},
    {CpuPrecision::kF16, "f16", Rounding::kF16, DType::kF16},
};
const PrecisionRow& RowOf(CpuPrecision precision) { return kPrecisions[static_cast<size_t>(precision)]; }

// bf16 memory only where the tier multiplies it directly and every weight has such a product.
XFormat ChooseXFormat(CpuPrecision precision, const CpuKernels& kernels, const WeightsView& weights) {
  const Rounding rounding = RowOf(precision).rounding;
  bool native =
      rounding == Rounding::kBf16 && kernels.native_bf16 && weights.unembedding.dtype == DType::kBF16;
  for (const LayerWeights& layer : weights.layers) {
    for (const MatrixView* m : {&layer.q, &layer.k, &layer.v, &layer.o})
      native = native && m->dtype == DType::kBF16;
    for (const auto* experts : {&layer.gate_up, &layer.down}) {
      for (const ExpertView& e : *experts) native = native && e.layout == ExpertLayout::kMxfp4;
    }
  }
  return {native ? XType::kBf16 : XType::kF32, rounding};
}

int64_t Bytes(const MatrixView& m) { return m.rows * m.cols * Bits(m.dtype) / 8; }
int64_t Macs(const MatrixView& m) { return m.rows * m.cols; }

class CpuExecutor final : public Executor {
 public:
  CpuExecutor(const ModelConfig& config, const WeightsView& weights, const CpuExecutorOptions& options)
      : config_(config),
        weights_(weights),
        kernels_(options.kernels != nullptr ? *options.kernels : SelectCpuKernels()),
        layout_(config),
        info_(DeriveInfo(config, layout_, options.limits)),
        rope_(ComputeRopeFrequencies(config.rope, config.head_dim)),
        x_format_(ChooseXFormat(options.precision, kernels_, weights)),
        kv_type_(RowOf(options.precision).kv_type),
        logit_rows_(std::max<int64_t>(kLeastLogitRows, options.limits.max_sequences)),
        final_norm_(Widened(weights.final_norm, kernels_)),
        slots_(options.limits.max_sequences, config.vocab_size),
        act_(config, options.limits, x_format_, logit_rows_),
        team_(options.threads > 0 ? options.threads : DetectCpuTopology().DefaultThreads()) {
    info_.name = "cpu";
    info_.device =
        fmt::format("CPU, {}, {} {}", kernels_.name, team_.size(), team_.size() == 1 ? "thread" : "threads");
    info_.precision = Name(options.precision);
    for (const LayerWeights& layer : weights.layers) vectors_.emplace_back(layer, kernels_);
    for (size_t g = 0; g < layout_.groups.size(); ++g) {
      kv_.emplace_back(info_.kv_blocks[g], static_cast<int64_t>(layout_.groups[g].layers.size()), config_,
                       kv_type_);
    }
    attend_ = kv_type_ == DType::kF32    ? kernels_.f32_f32kv_attention
              : kv_type_ == DType::kBF16 ? kernels_.f32_bf16kv_attention
                                         : kernels_.f32_f16kv_attention;
    const auto scratch_floats =
        std::max(AttentionScratchFloats(config.head_dim),
                 ExpertScratchBytes(std::max(config.hidden_size, config.expert_width)) / 4);
    scratch_stride_ = (scratch_floats + 15) / 16 * 16;
    scratch_ = AlignedBuffer<float>("kernel scratch", MemoryClass::kActivations,
                                    static_cast<size_t>(scratch_stride_ * team_.size()));
  }

  const ExecutorInfo& Info() const override { return info_; }

  void ResetSlot(int32_t slot, std::span<const int32_t> reused) override { slots_.Reset(slot, reused); }

  void CopyBlocks(std::span<const BlockCopy> copies) override {
    for (const BlockCopy& copy : copies) kv_[static_cast<size_t>(copy.group)].Copy(copy.from, copy.to);
  }

  StepTicket Submit(const StepBatch& batch) override {
    OX_CHECK(batch.num_tokens() > 0 && batch.num_tokens() <= info_.max_step_tokens);
    Step(batch);
    return {++last_ticket_};
  }

  void Wait(StepTicket ticket, StepResult& result) override {
    OX_CHECK(ticket.id == last_ticket_);
    std::swap(result, result_);
  }

 private:
  // The whole model, in execution order.
  void Step(const StepBatch& batch) {
    clock_.Start();
    Embed(batch);
    Show(batch, tap::kEmbedding, -1, act_.residual, config_.hidden_size);
    for (int32_t layer = 0; layer < config_.num_layers; ++layer) {
      const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
      const CpuLayerVectors& v = vectors_[static_cast<size_t>(layer)];

      Norm(batch, v.attention_norm);
      Show(batch, tap::kAttentionNorm, layer, act_.normed, config_.hidden_size);
      QueryKeyValue(batch, w, v);
      RotateAndStoreKv(batch, layer);
      ShowQueryKeyValue(batch, layer);
      Attend(batch, layer, v);
      Show(batch, tap::kAttention, layer, act_.attention, config_.query_width());
      OutProjection(batch, w, v);
      Show(batch, tap::kAttentionOut, layer, act_.delta, config_.hidden_size);
      Show(batch, tap::kAttentionResidual, layer, act_.residual, config_.hidden_size);

      Norm(batch, v.mlp_norm);
      Show(batch, tap::kMlpNorm, layer, act_.normed, config_.hidden_size);
      RouteRows(batch, layer, w, v);
      Show(batch, tap::kRouterLogits, layer, act_.router, config_.num_experts);
      GateUp(batch, w);
      Down(batch, w);
      Combine(batch, layer);
      Show(batch, tap::kMoeOut, layer, act_.delta, config_.hidden_size);
      Show(batch, tap::kResidual, layer, act_.residual, config_.hidden_size);
    }
    Norm(batch, final_norm_);
    Show(batch, tap::kFinalNorm, -1, act_.normed, config_.hidden_size);
    Unembed(batch);
    clock_.Report(result_.stages);
  }

  // Token ids to rows of the residual; with them what depends on the step's positions and policies alone.
  void Embed(const StepBatch& batch) {
    ids_.resize(batch.token_ids.size());
    slots_.Feed(batch, ids_);
    int32_t ranks = 1;
    for (const RoutingPolicy& policy : batch.policies) {
      ranks = std::max(ranks, ExpertsPerToken(policy, config_.experts_per_token));
    }
    result_.routing.Resize(config_.num_layers, batch.num_tokens(), ranks);
    act_.FitRanks(config_, info_.max_step_tokens, x_format_, ranks);
    const int64_t m = config_.hidden_size, pairs = config_.head_dim / 2;
    ForRows(batch, [&](int64_t t) {
      const VectorView row = weights_.embedding.row(ids_[static_cast<size_t>(t)]);
      kernels_.widen(row.data, row.dtype, m, act_.residual.data() + t * m);
      RopeCosSin(rope_, batch.positions[static_cast<size_t>(t)], act_.cos.data() + t * pairs,
                 act_.sin.data() + t * pairs);
    });
    clock_.End(CpuStage::kEmbed);
  }

  // normed = norm(residual), also in the products' format.
  void Norm(const StepBatch& batch, const std::vector<float>& scale) {
    const int64_t m = config_.hidden_size;
    ForRows(batch, [&](int64_t t) {
      float* row = act_.normed.data() + t * m;
      kernels_.f32_rms_norm(act_.residual.data() + t * m, scale.data(), config_.rms_norm_eps, m, row);
      if (act_.normed_x.size() > 0)
        kernels_.f32_to_x(row, m, x_format_, act_.normed_x.data() + t * XRowBytes(m));
    });
    clock_.End(CpuStage::kNorm);
  }

  void QueryKeyValue(const StepBatch& batch, const LayerWeights& w, const CpuLayerVectors& v) {
    team_.Run([&](int worker, int workers) {
      Project(batch, NormedX(), w.q, v.q_bias.data(), Query(), worker, workers);
      Project(batch, NormedX(), w.k, v.k_bias.data(), Key(batch), worker, workers);
      Project(batch, NormedX(), w.v, v.v_bias.data(), Value(batch), worker, workers);
    });
    clock_.End(CpuStage::kQkv, Bytes(w.q) + Bytes(w.k) + Bytes(w.v),
               2 * batch.num_tokens() * (Macs(w.q) + Macs(w.k) + Macs(w.v)));
  }

  void RotateAndStoreKv(const StepBatch& batch, int32_t layer) {
    const auto group = static_cast<size_t>(layout_.group_of_layer[static_cast<size_t>(layer)]);
    const int32_t d = config_.head_dim;
    ForRowsOfSequences(batch, [&](int32_t s, int64_t t) {
      const float* cos = act_.cos.data() + t * (d / 2);
      const float* sin = act_.sin.data() + t * (d / 2);
      float* key = Key(batch) + t * config_.kv_width();
      const float* value = Value(batch) + t * config_.kv_width();
      kernels_.f32_rope(Query() + t * config_.query_width(), config_.num_heads, d, cos, sin);
      kernels_.f32_rope(key, config_.num_kv_heads, d, cos, sin);
      const int64_t position = batch.positions[static_cast<size_t>(t)];
      const int32_t block = *BlockIds(batch.kv[group], s, position);
      for (int32_t g = 0; g < config_.num_kv_heads; ++g) {
        kernels_.write_kv(key + g * d, value + g * d, d, kv_type_,
                          static_cast<int32_t>(position % kKvBlockTokens),
                          kv_[group].Part(block, layout_.index_in_group[static_cast<size_t>(layer)], g));
      }
    });
    clock_.End(CpuStage::kRotate);
  }

  // One item of work is a row and a KV head; a head's rows lie together, as they read the same blocks.
  void Attend(const StepBatch& batch, int32_t layer, const CpuLayerVectors& v) {
    const auto group = static_cast<size_t>(layout_.group_of_layer[static_cast<size_t>(layer)]);
    const int32_t window = layout_.groups[group].window;
    const int64_t rows = batch.num_tokens(), d = config_.head_dim, heads = config_.heads_per_kv();
    int64_t keys = 0;
    for (const int64_t position : batch.positions) keys += position - FirstVisible(position, window) + 1;
    team_.Run([&](int worker, int workers) {
      const Share share = ShareOf(rows * config_.num_kv_heads, 1, worker, workers);
      for (int64_t item = share.begin; item < share.end; ++item) {
        const int64_t g = item / rows, t = item % rows;
        const int64_t last = batch.positions[static_cast<size_t>(t)];
        const int64_t first = FirstVisible(last, window);
        const int64_t at = t * config_.query_width() + g * heads * d;
        attend_({.q = Query() + at,
                 .out = act_.attention.data() + at,
                 .sinks = v.sinks.data() + g * heads,
                 .heads = static_cast<int32_t>(heads),
                 .head_dim = config_.head_dim,
                 .kv = kv_[group].Part(0, layout_.index_in_group[static_cast<size_t>(layer)], g),
                 .block_bytes = kv_[group].block_bytes(),
                 .block_ids = BlockIds(batch.kv[group], SequenceOf(batch, t), first),
                 .first = first,
                 .last = last,
                 .scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(d))),
                 .scratch = Scratch(worker)});
      }
    });
    clock_.End(CpuStage::kAttention, keys * 2 * config_.kv_width() * Bits(kv_type_) / 8,
               keys * 4 * config_.query_width());
  }

  // delta = attention Wo + bias; residual += delta
  void OutProjection(const StepBatch& batch, const LayerWeights& w, const CpuLayerVectors& v) {
    const int64_t width = config_.query_width();
    const bool convert = act_.attention_x.size() > 0;
    const void* x = convert ? static_cast<const void*>(act_.attention_x.data()) : act_.attention.data();
    team_.Run([&](int worker, int workers) {
      if (convert) {
        const Share share = ShareOf(batch.num_tokens(), 1, worker, workers);
        for (int64_t t = share.begin; t < share.end; ++t) {
          kernels_.f32_to_x(act_.attention.data() + t * width, width, x_format_,
                            act_.attention_x.data() + t * XRowBytes(width));
        }
        team_.Barrier();
      }
      Project(batch, x, w.o, v.o_bias.data(), act_.delta.data(), worker, workers);
      team_.Barrier();
      AddDelta(batch, worker, workers);
    });
    clock_.End(CpuStage::kOut, Bytes(w.o), 2 * batch.num_tokens() * Macs(w.o));
  }

  // The router works in f32 whatever the precision. Routing goes sequence by sequence: batch mates never
  // meet.
  void RouteRows(const StepBatch& batch, int32_t layer, const LayerWeights& w, const CpuLayerVectors& v) {
    const int32_t rows = batch.num_tokens(), experts = config_.num_experts;
    const DenseArgs args{.x = act_.normed.data(),
                         .ldx = config_.hidden_size,
                         .w = w.router.data,
                         .bias = v.router_bias.data(),
                         .y = act_.router.data(),
                         .ldy = experts,
                         .tokens = rows,
                         .k = config_.hidden_size,
                         .x_rows = nullptr};
    team_.Run([&](int worker, int workers) {
      const Share share = ShareOf(experts, kRowGranule, worker, workers);
      ProductFor(w.router.dtype, XType::kF32)(args, share.begin, share.end);
    });
    for (int32_t s = 0; s < batch.num_sequences(); ++s) {
      const int32_t begin = batch.query_start[static_cast<size_t>(s)],
                    end = batch.query_start[static_cast<size_t>(s) + 1];
      Route(batch.policies[batch.policy[static_cast<size_t>(s)]], config_.experts_per_token,
            act_.router.span().subspan(static_cast<size_t>(begin * experts),
                                       static_cast<size_t>((end - begin) * experts)),
            experts, result_.routing.Rows(layer, rows, begin, end));
    }
    groups_.Build(result_.routing.Rows(layer, rows, 0, rows), experts);
    clock_.End(CpuStage::kRouter, Bytes(w.router), 2 * rows * Macs(w.router));
  }

  // gated = SwiGLU(normed W1 + bias) of every (token, rank), each expert's weights read once.
  void GateUp(const StepBatch&, const LayerWeights& w) {
    const ExpertArgs args{.x = NormedX(),
                          .ldx = PaddedX(config_.hidden_size),
                          .y = act_.gated.data(),
                          .ldy = PaddedX(config_.expert_width),
                          .out = x_format_,
                          .alpha = config_.swiglu_alpha,
                          .limit = config_.swiglu_limit};
    clock_.End(CpuStage::kGateUp, RunExperts(w.gate_up, args, /*gate_up=*/true),
               2 * groups_.choices() * w.gate_up[0].rows * w.gate_up[0].cols);
  }

  // parts = gated W2 + bias of every (token, rank).
  void Down(const StepBatch&, const LayerWeights& w) {
    const ExpertArgs args{.x = act_.gated.data(),
                          .ldx = PaddedX(config_.expert_width),
                          .y = act_.parts.data(),
                          .ldy = config_.hidden_size};
    clock_.End(CpuStage::kDown, RunExperts(w.down, args, /*gate_up=*/false),
               2 * groups_.choices() * w.down[0].rows * w.down[0].cols);
  }

  // Every thread does its share of every expert's rows. Returns the bytes of the experts used.
  int64_t RunExperts(const std::vector<ExpertView>& experts, const ExpertArgs& common, bool gate_up) {
    team_.Run([&](int worker, int workers) {
      for (const ExpertGroups::Group& group : groups_.groups()) {
        const ExpertView& e = experts[static_cast<size_t>(group.expert)];
        ExpertArgs args = common;
        args.x_rows = gate_up ? group.tokens.data() : group.places.data();
        args.y_rows = group.places.data();
        args.blocks = e.values;
        args.scales = e.scales;
        args.value_type = e.dtype;
        args.bias = e.bias.data;
        args.bias_type = e.bias.dtype;
        args.tokens = static_cast<int64_t>(group.places.size());
        args.n = e.rows;
        args.k = e.cols;
        args.scratch = Scratch(worker);
        const Share share = ShareOf(e.rows, kRowGranule, worker, workers);
        ExpertProductFor(e.layout, gate_up)(args, share.begin, share.end);
      }
    });
    int64_t bytes = 0;
    for (const ExpertGroups::Group& group : groups_.groups())
      bytes += experts[static_cast<size_t>(group.expert)].bytes();
    return bytes;
  }

  // delta = sum of a token's experts in rank order; residual += delta
  void Combine(const StepBatch& batch, int32_t layer) {
    const RoutedRows routed = result_.routing.Rows(layer, batch.num_tokens(), 0, batch.num_tokens());
    const int64_t m = config_.hidden_size;
    team_.Run([&](int worker, int workers) {
      const Share share = ShareOf(batch.num_tokens(), 1, worker, workers);
      for (int64_t t = share.begin; t < share.end; ++t) {
        const int64_t place = t * routed.stride;
        kernels_.f32_combine(act_.parts.data() + place * m, m, routed.weights.data() + place,
                             routed.experts.data() + place, routed.stride, m, act_.delta.data() + t * m);
      }
      AddDelta(batch, worker, workers);
    });
    clock_.End(CpuStage::kCombine);
  }

  // Logits of the rows that somebody asked for, a bounded number at a time: to the sinks, then to the
  // sampler.
  void Unembed(const StepBatch& batch) {
    FindWantedRows(batch);
    const int64_t v = config_.vocab_size;
    const bool keep =
        static_cast<int64_t>(wanted_.size()) > logit_rows_;  // the sampler needs rows of several passes
    std::vector<float> shown;
    for (size_t first = 0; first < wanted_.size(); first += static_cast<size_t>(logit_rows_)) {
      const size_t count = std::min(wanted_.size() - first, static_cast<size_t>(logit_rows_));
      const MatrixView& w = weights_.unembedding;
      const DenseArgs args{.x = NormedX(),
                           .ldx = PaddedX(w.cols),
                           .w = w.data,
                           .bias = nullptr,
                           .y = act_.logits.data(),
                           .ldy = v,
                           .tokens = static_cast<int64_t>(count),
                           .k = w.cols,
                           .x_rows = wanted_.data() + first};
      team_.Run([&](int worker, int workers) {
        const Share share = ShareOf(v, kRowGranule, worker, workers);
        ProductFor(w.dtype, x_format_.type)(args, share.begin, share.end);
      });
      clock_.End(CpuStage::kUnembed, Bytes(w), 2 * static_cast<int64_t>(count) * Macs(w));
      for (size_t i = 0; i < count; ++i) {
        const int32_t t = wanted_[first + i];
        const std::span<const float> row(act_.logits.data() + static_cast<int64_t>(i) * v,
                                         static_cast<size_t>(v));
        LogitsSink* sink =
            batch.logits.empty() ? nullptr : batch.logits[static_cast<size_t>(SequenceOf(batch, t))];
        if (sink != nullptr) sink->Row(batch.positions[static_cast<size_t>(t)], row);
        if (keep && IsSampled(batch, t)) kept_logits_.insert(kept_logits_.end(), row.begin(), row.end());
        if (batch.taps != nullptr) shown.insert(shown.end(), row.begin(), row.end());
      }
    }
    if (batch.taps != nullptr) batch.taps->Tap(tap::kLogits, -1, shown, v);
    slots_.Sample(batch, [this](size_t i) { return LogitsOfSample(i); }, result_.samples);
    kept_logits_.clear();
    clock_.End(CpuStage::kSample);
  }

  void FindWantedRows(const StepBatch& batch) {
    wanted_.clear();
    for (size_t s = 0; s < batch.logits.size(); ++s) {
      if (batch.logits[s] == nullptr) continue;
      for (int32_t t = batch.query_start[s]; t < batch.query_start[s + 1]; ++t) wanted_.push_back(t);
    }
    sampled_rows_.clear();
    for (const SampleSpec& spec : batch.samples) sampled_rows_.push_back(spec.row);
    sample_row_.assign(sampled_rows_.begin(), sampled_rows_.end());
    std::sort(sampled_rows_.begin(), sampled_rows_.end());
    sampled_rows_.erase(std::unique(sampled_rows_.begin(), sampled_rows_.end()), sampled_rows_.end());
    wanted_.insert(wanted_.end(), sampled_rows_.begin(), sampled_rows_.end());
    std::sort(wanted_.begin(), wanted_.end());
    wanted_.erase(std::unique(wanted_.begin(), wanted_.end()), wanted_.end());
  }

  bool IsSampled(const StepBatch&, int32_t t) const {
    return std::binary_search(sampled_rows_.begin(), sampled_rows_.end(), t);
  }

  std::span<const float> LogitsOfSample(size_t i) const {
    const auto v = static_cast<size_t>(config_.vocab_size);
    const bool kept = !kept_logits_.empty();
    const std::vector<int32_t>& rows = kept ? sampled_rows_ : wanted_;
    const auto at =
        static_cast<size_t>(std::lower_bound(rows.begin(), rows.end(), sample_row_[i]) - rows.begin());
    return {(kept ? kept_logits_.data() : act_.logits.data()) + at * v, v};
  }

  // --- Parts shared by the stages.

  // body(t) for every row of the batch, divided between the threads.
  template <typename Body>
  void ForRows(const StepBatch& batch, Body body) {
    team_.Run([&](int worker, int workers) {
      const Share share = ShareOf(batch.num_tokens(), 1, worker, workers);
      for (int64_t t = share.begin; t < share.end; ++t) body(t);
    });
  }
  template <typename Body>
  void ForRowsOfSequences(const StepBatch& batch, Body body) {
    ForRows(batch, [&](int64_t t) { body(SequenceOf(batch, t), t); });
  }

  // A thread's share of y = x W + bias for all rows of the batch; y rows lie W.rows apart.
  void Project(const StepBatch& batch, const void* x, const MatrixView& w, const float* bias, float* y,
               int worker, int workers) {
    const Share share = ShareOf(w.rows, kRowGranule, worker, workers);
    const DenseArgs args{.x = x,
                         .ldx = PaddedX(w.cols),
                         .w = w.data,
                         .bias = bias,
                         .y = y,
                         .ldy = w.rows,
                         .tokens = batch.num_tokens(),
                         .k = w.cols,
                         .x_rows = nullptr};
    ProductFor(w.dtype, x_format_.type)(args, share.begin, share.end);
  }

  void AddDelta(const StepBatch& batch, int worker, int workers) {
    const int64_t m = config_.hidden_size;
    const Share share = ShareOf(batch.num_tokens(), 1, worker, workers);
    kernels_.f32_add(act_.residual.data() + share.begin * m, act_.delta.data() + share.begin * m,
                     (share.end - share.begin) * m);
  }

  DenseProduct ProductFor(DType w, XType x) const {
    if (x == XType::kBf16) return kernels_.bf16_bf16w_matmul;
    return w == DType::kF32   ? kernels_.f32_f32w_matmul
           : w == DType::kF16 ? kernels_.f32_f16w_matmul
                              : kernels_.f32_bf16w_matmul;
  }
  ExpertProduct ExpertProductFor(ExpertLayout layout, bool gate_up) const {
    if (layout == ExpertLayout::kTransposed) {
      return gate_up ? kernels_.f32_transposedw_moe_gate_up : kernels_.f32_transposedw_moe_down;
    }
    if (x_format_.type == XType::kBf16)
      return gate_up ? kernels_.bf16_mxfp4w_moe_gate_up : kernels_.bf16_mxfp4w_moe_down;
    return gate_up ? kernels_.f32_mxfp4w_moe_gate_up : kernels_.f32_mxfp4w_moe_down;
  }

  static int32_t SequenceOf(const StepBatch& batch, int64_t t) {
    const auto after =
        std::upper_bound(batch.query_start.begin(), batch.query_start.end(), static_cast<int32_t>(t));
    return static_cast<int32_t>(after - batch.query_start.begin()) - 1;
  }
  static int64_t FirstVisible(int64_t position, int32_t window) {
    return window > 0 ? std::max<int64_t>(0, position - window + 1) : 0;
  }
  // The table of sequence s from the block on that holds `position`.
  static const int32_t* BlockIds(const BlockTables& tables, int32_t s, int64_t position) {
    const auto at = static_cast<size_t>(s);
    const int64_t offset = position - tables.first_position[at];
    const int64_t index = tables.offsets[at] + offset / kKvBlockTokens;
    OX_CHECK(offset >= 0 && index < tables.offsets[at + 1]);
    return tables.block_ids.data() + index;
  }

  float* Query() { return act_.qkv.data(); }
  float* Key(const StepBatch& batch) { return Query() + int64_t{batch.num_tokens()} * config_.query_width(); }
  float* Value(const StepBatch& batch) {
    return Key(batch) + int64_t{batch.num_tokens()} * config_.kv_width();
  }
  const void* NormedX() {
    return act_.normed_x.size() > 0 ? static_cast<const void*>(act_.normed_x.data()) : act_.normed.data();
  }
  int64_t XRowBytes(int64_t n) const { return PaddedX(n) * ElementBytes(x_format_); }
  float* Scratch(int worker) { return scratch_.data() + worker * scratch_stride_; }

  static void Show(const StepBatch& batch, std::string_view name, int32_t layer,
                   const AlignedBuffer<float>& rows, int64_t cols) {
    if (batch.taps != nullptr) {
      batch.taps->Tap(name, layer, rows.span().first(static_cast<size_t>(batch.num_tokens() * cols)), cols);
    }
  }
  void ShowQueryKeyValue(const StepBatch& batch, int32_t layer) {
    if (batch.taps == nullptr) return;
    const auto show = [&](std::string_view name, const float* rows, int64_t cols) {
      batch.taps->Tap(name, layer, {rows, static_cast<size_t>(batch.num_tokens() * cols)}, cols);
    };
    show(tap::kQuery, Query(), config_.query_width());
    show(tap::kKey, Key(batch), config_.kv_width());
    show(tap::kValue, Value(batch), config_.kv_width());
  }

  const ModelConfig config_;
  const WeightsView& weights_;
  const CpuKernels& kernels_;
  const KvLayout layout_;
  ExecutorInfo info_;
  const RopeFrequencies rope_;
  const XFormat x_format_;
  const DType kv_type_;
  const int64_t logit_rows_;
  AttentionKernel attend_ = nullptr;
  const std::vector<float> final_norm_;
  std::vector<CpuLayerVectors> vectors_;
  Slots slots_;
  CpuActivations act_;
  std::vector<CpuKvGroup> kv_;
  ThreadTeam team_;
  AlignedBuffer<float> scratch_;
  int64_t scratch_stride_ = 0;  // floats of one thread

  ExpertGroups groups_;
  StageClock clock_;
  std::vector<int32_t> ids_, wanted_, sampled_rows_, sample_row_;
  std::vector<float> kept_logits_;
  StepResult result_;
  uint64_t last_ticket_ = 0;
};

}  // namespace

const char* Name(CpuPrecision precision) { return RowOf(precision).name; }

std::optional<CpuPrecision> ParseCpuPrecision(std::string_view name) {
  for (const PrecisionRow& row : kPrecisions) {
    if (name == row.name) return row.precision;
  }
  return std::nullopt;
}

std::unique_ptr<Executor> MakeCpuExecutor(const ModelConfig& config, const WeightsView& weights,
                                          const CpuExecutorOptions& options) {
  return std::make_unique<CpuExecutor>(config, weights, options);
}

}  // namespace oxidized
