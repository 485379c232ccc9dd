#include "executor/cpu/cpu_executor.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "executor/cpu/cpu_dense.h"
#include "executor/cpu/cpu_experts.h"
#include "executor/cpu/cpu_logits.h"
#include "executor/cpu/cpu_memory.h"
#include "executor/cpu/cpu_products.h"
#include "executor/cpu/expert_groups.h"
#include "executor/cpu/expert_guess.h"
#include "executor/cpu/stage_clock.h"
#include "executor/slots.h"
#include "executor/taps.h"
#include "model/rope.h"
#include "parallel/cpu_topology.h"
#include "parallel/thread_team.h"

namespace oxidized {
namespace {

using AttentionKernel = void (*)(const AttentionArgs&);

constexpr int64_t kAttentionItemsOfAThread = 16;

// Rows of logits made in one pass over the unembedding.
int64_t LogitRows(const ExecutorLimits& limits) { return std::max(32, limits.max_sequences); }

ProductFormats FormatsOf(const CpuExecutorOptions& options, const CpuKernels& kernels,
                         const WeightsView& weights) {
  return ChooseFormats(ArithmeticOf(options.precision, weights).rounding,
                       options.activations == ActivationType::kInt8, kernels, weights);
}

class CpuExecutor final : public Executor {
 public:
  CpuExecutor(const ModelConfig& config, const WeightsView& weights, const CpuExecutorOptions& options)
      : config_(config),
        weights_(weights),
        kernels_(options.kernels != nullptr ? *options.kernels : SelectCpuKernels()),
        layout_(config),
        info_(DeriveInfo(config, layout_, options.limits)),
        rope_(ComputeRopeFrequencies(config.rope, config.head_dim)),
        formats_(FormatsOf(options, kernels_, weights)),
        kv_type_(ArithmeticOf(options.precision, weights).kv_type),
        final_norm_(Widened(weights.final_norm, kernels_)),
        slots_(options.limits.max_sequences, config.vocab_size),
        act_(config, options.limits, formats_),
        team_(options.threads > 0 ? options.threads : DetectCpuTopology().DefaultThreads()),
        all_resident_(weights),
        source_(options.experts != nullptr ? *options.experts : all_resident_),
        packed_(options.packed != nullptr ? options.packed : std::make_shared<const PackedDense>()),
        dense_(kernels_, formats_, *packed_, team_),
        experts_(config_, kernels_, formats_.experts, team_),
        guess_(config_, kernels_, team_),
        logits_(weights.unembedding, *packed_, kernels_, formats_.TypeFor(weights.unembedding),
                LogitRows(options.limits), team_),
        scratch_stride_((AttentionScratchFloats(config.head_dim) + 15) / 16 * 16),
        scratch_("kernel scratch", MemoryClass::kActivations,
                 static_cast<size_t>(scratch_stride_ * team_.size())) {
    info_.name = "cpu";
    info_.device =
        fmt::format("CPU, {}, {} {}", kernels_.name, team_.size(), team_.size() == 1 ? "thread" : "threads");
    info_.precision = Name(ArithmeticOf(options.precision, weights).precision);
    info_.late_masks = true;
    if (formats_.any_int8()) {
      info_.activations = "int8";
      info_.device += ", 8-bit activations";
    }
    for (const LayerWeights& layer : weights.layers) vectors_.emplace_back(layer, kernels_);
    for (size_t g = 0; g < layout_.groups.size(); ++g) {
      kv_.emplace_back(info_.kv_blocks[g], static_cast<int64_t>(layout_.groups[g].layers.size()), config_,
                       kv_type_);
    }
    for (auto* views : {&gate_up_, &down_}) views->resize(static_cast<size_t>(config.most_experts()));
    attend_ = kv_type_ == DType::kF32    ? kernels_.f32_f32kv_attention
              : kv_type_ == DType::kBF16 ? kernels_.f32_bf16kv_attention
                                         : kernels_.f32_f16kv_attention;
  }

  const ExecutorInfo& Info() const override { return info_; }

  void ResetSlot(int32_t slot, std::span<const int32_t> reused) override { slots_.Reset(slot, reused); }

  void CopyBlocks(std::span<const BlockCopy> copies) override {
    for (const BlockCopy& copy : copies) kv_[static_cast<size_t>(copy.group)].Copy(copy.from, copy.to);
  }

  StepTicket Submit(const StepBatch& batch) override {
    OX_CHECK(batch.num_tokens() > 0 && batch.num_tokens() <= info_.max_step_tokens);
    late_.Begin(batch.samples);
    Forward(batch);
    batch_ = batch;
    return {++last_ticket_};
  }

  void GiveMasks(StepTicket ticket, std::span<const TokenMask* const> masks) override {
    OX_CHECK(ticket.id == last_ticket_);
    late_.Give(masks);
  }

  void Wait(StepTicket ticket, StepResult& result) override {
    OX_CHECK(ticket.id == last_ticket_);
    clock_.Resume();
    logits_.Sample(batch_, late_.Take(), slots_, clock_, result_.samples);
    clock_.Report(result_.stages);
    std::swap(result, result_);
  }

 private:
  // The whole model, in execution order, up to the logits.
  void Forward(const StepBatch& batch) {
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
      Show(batch, tap::kRouterLogits, layer, act_.router, config_.layer(layer).num_experts);
      Experts(batch, layer);
      Combine(batch, layer);
      Show(batch, tap::kMoeOut, layer, act_.delta, config_.hidden_size);
      Show(batch, tap::kResidual, layer, act_.residual, config_.hidden_size);
    }
    Norm(batch, final_norm_);
    Show(batch, tap::kFinalNorm, -1, act_.normed, config_.hidden_size);
    logits_.Unembed(batch, NormedX().As(formats_.TypeFor(weights_.unembedding)), clock_);
  }

  // Token ids to rows of the residual; with them what depends on the step's positions and policies alone.
  void Embed(const StepBatch& batch) {
    ids_.resize(batch.token_ids.size());
    slots_.Feed(batch, ids_);
    int32_t ranks = 1;
    for (const RoutingPolicy& policy : batch.policies) {
      ranks = std::max(ranks, ExpertsPerToken(policy, config_.experts_per_token));
    }
    result_.routing.Resize(config_.num_layers, batch.num_tokens(), ranks,
                           batch.router_logits ? config_.most_experts() : 0);
    act_.FitRanks(config_, info_.max_step_tokens, formats_.experts, ranks);
    const int64_t m = config_.hidden_size, pairs = config_.head_dim / 2;
    ForRows(batch, [&](int64_t t) {
      const int32_t id = ids_[static_cast<size_t>(t)];
      float* out = act_.residual.data() + t * m;
      if (IsBlockType(weights_.embedding.dtype)) {
        weights_.embedding.DecodeRow(id, out);
      } else {
        kernels_.widen(weights_.embedding.row(id).data, weights_.embedding.dtype, m, out);
      }
      RopeCosSin(rope_, batch.positions[static_cast<size_t>(t)], act_.cos.data() + t * pairs,
                 act_.sin.data() + t * pairs);
    });
    clock_.End(CpuStage::kEmbed);
  }

  // normed = norm(residual), also in the products' formats.
  void Norm(const StepBatch& batch, const std::vector<float>& scale) {
    const int64_t m = config_.hidden_size;
    ForRows(batch, [&](int64_t t) {
      float* row = act_.normed.data() + t * m;
      kernels_.f32_rms_norm(act_.residual.data() + t * m, scale.data(), config_.rms_norm_eps, m, row);
      ToProductRow(row, m, t, act_.normed_x, act_.normed_int8);
    });
    clock_.End(CpuStage::kNorm);
  }

  void QueryKeyValue(const StepBatch& batch, const LayerWeights& w, const CpuLayerVectors& v) {
    const ProductCost cost = dense_.Run({{w.q, v.q_bias.data(), Query()},
                                         {w.k, v.k_bias.data(), Key(batch)},
                                         {w.v, v.v_bias.data(), Value(batch)}},
                                        NormedX(), batch.num_tokens());
    clock_.End(CpuStage::kQkv, cost.bytes, cost.flops);
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
    const int64_t all = rows * config_.num_kv_heads;
    const int64_t together = std::clamp<int64_t>(all / (kAttentionItemsOfAThread * team_.size()), 1, 8);
    team_.ForEach((all + together - 1) / together, [&](int64_t part, int worker) {
      for (int64_t item = part * together; item < std::min(all, (part + 1) * together); ++item) {
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
                 .block_ids = BlockIds(batch.kv[group], batch.SequenceOf(t), first),
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
    const bool convert = act_.attention_x.size() > 0 || act_.attention_int8.size() > 0;
    const ProductRows x = RowsOf(act_.attention, act_.attention_x, act_.attention_int8);
    if (convert) {
      ForRows(batch, [&](int64_t t) {
        ToProductRow(act_.attention.data() + t * width, width, t, act_.attention_x, act_.attention_int8);
      });
    }
    const ProductCost cost = dense_.Run({{w.o, v.o_bias.data(), act_.delta.data()}}, x, batch.num_tokens());
    ForRows(batch, [&](int64_t t) { AddDelta(t); });
    clock_.End(CpuStage::kOut, cost.bytes, cost.flops);
  }

  // The router works in f32 whatever the precision. Routing goes sequence by sequence: batch mates never
  // meet.
  void RouteRows(const StepBatch& batch, int32_t layer, const LayerWeights& w, const CpuLayerVectors& v) {
    const int32_t rows = batch.num_tokens(), experts = config_.layer(layer).num_experts;
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
      DenseProductFor(kernels_, w.router, XType::kF32)(args, share.begin, share.end);
    });
    for (int32_t s = 0; s < batch.num_sequences(); ++s) {
      const int32_t begin = batch.query_start[static_cast<size_t>(s)],
                    end = batch.query_start[static_cast<size_t>(s) + 1];
      Route(batch.policies[static_cast<size_t>(batch.policy[static_cast<size_t>(s)])],
            config_.experts_per_token,
            act_.router.span().subspan(static_cast<size_t>(begin * experts),
                                       static_cast<size_t>((end - begin) * experts)),
            experts, result_.routing.Rows(layer, rows, begin, end));
    }
    result_.routing.KeepLogits(layer, rows,
                               act_.router.span().first(static_cast<size_t>(int64_t{rows} * experts)));
    groups_.Build(result_.routing.Rows(layer, rows, 0, rows), experts);
    clock_.End(CpuStage::kRouter, w.router.bytes(), 2 * rows * w.router.rows * w.router.cols);
  }

  // parts = the output of every (token, rank), each expert's weights read once: of the experts that are there
  // first, then of the others as they come.
  void Experts(const StepBatch& batch, int32_t layer) {
    requested_.clear();
    for (const ExpertGroups::Group& group : groups_.groups()) requested_.push_back(group.expert);
    source_.Request(layer, requested_);
    GuessNext(batch, layer);
    for (;;) {
      const std::span<const ReadyExpert> ready = source_.TakeReady();
      clock_.End(CpuStage::kExpertWait);
      if (ready.empty()) return;
      portion_.clear();
      for (const ReadyExpert& expert : ready) {
        const ExpertGroups::Group& group = groups_.groups()[static_cast<size_t>(expert.index)];
        gate_up_[static_cast<size_t>(group.expert)] = *expert.gate_up;
        down_[static_cast<size_t>(group.expert)] = *expert.down;
        portion_.push_back(group);
      }
      const ProductCost gate_up =
          experts_.GateUp(gate_up_, portion_, NormedX().As(formats_.experts.type), act_.gated.data());
      clock_.End(CpuStage::kGateUp, gate_up.bytes, gate_up.flops);
      const ProductCost down = experts_.Down(down_, portion_, act_.gated.data(), act_.parts.data());
      clock_.End(CpuStage::kDown, down.bytes, down.flops);
    }
  }

  // A hint to the source while it reads. delta and router are free until Combine and the next layer.
  void GuessNext(const StepBatch& batch, int32_t layer) {
    if (!source_.wants_prefetch() || layer + 1 == config_.num_layers) return;
    const auto next = static_cast<size_t>(layer) + 1;
    source_.Prefetch(layer + 1, guess_.Next(act_.residual.data(), batch.num_tokens(), weights_.layers[next],
                                            vectors_[next], act_.delta.data(), act_.router.data()));
    clock_.End(CpuStage::kRouter);
  }

  // delta = sum of a token's experts in rank order; residual += delta
  void Combine(const StepBatch& batch, int32_t layer) {
    const RoutedRows routed = result_.routing.Rows(layer, batch.num_tokens(), 0, batch.num_tokens());
    const int64_t m = config_.hidden_size;
    ForRows(batch, [&](int64_t t) {
      const int64_t place = t * routed.stride;
      kernels_.f32_combine(act_.parts.data() + place * m, m, routed.weights.data() + place,
                           routed.experts.data() + place, routed.stride, m, act_.delta.data() + t * m);
      AddDelta(t);
    });
    clock_.End(CpuStage::kCombine);
  }

  // --- Parts shared by the stages.

  // body(t) for every row of the batch, divided between the threads. A single row is less work than handing
  // it over.
  template <typename Body>
  void ForRows(const StepBatch& batch, Body body) {
    if (batch.num_tokens() == 1) return body(0);
    team_.Run([&](int worker, int workers) {
      const Share share = ShareOf(batch.num_tokens(), 1, worker, workers);
      for (int64_t t = share.begin; t < share.end; ++t) body(t);
    });
  }
  template <typename Body>
  void ForRowsOfSequences(const StepBatch& batch, Body body) {
    ForRows(batch, [&](int64_t t) { body(batch.SequenceOf(t), t); });
  }

  void AddDelta(int64_t t) {
    const int64_t m = config_.hidden_size;
    kernels_.f32_add(act_.residual.data() + t * m, act_.delta.data() + t * m, m);
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
  static ProductRows RowsOf(const AlignedBuffer<float>& f32, const AlignedBuffer<std::byte>& dense,
                            const AlignedBuffer<std::byte>& int8) {
    return {dense.size() > 0 ? static_cast<const void*>(dense.data()) : f32.data(), int8.data()};
  }
  ProductRows NormedX() const { return RowsOf(act_.normed, act_.normed_x, act_.normed_int8); }
  // Row t of n values in each form of which there is memory.
  void ToProductRow(const float* row, int64_t n, int64_t t, AlignedBuffer<std::byte>& dense,
                    AlignedBuffer<std::byte>& int8) {
    if (dense.size() > 0)
      kernels_.f32_to_x(row, n, formats_.dense, dense.data() + t * XRowBytes(formats_.dense.type, n));
    if (int8.size() > 0)
      kernels_.f32_to_x(row, n, {XType::kInt8}, int8.data() + t * XRowBytes(XType::kInt8, n));
  }
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
  const ProductFormats formats_;
  const DType kv_type_;
  AttentionKernel attend_ = nullptr;
  const std::vector<float> final_norm_;
  std::vector<CpuLayerVectors> vectors_;
  Slots slots_;
  CpuActivations act_;
  std::vector<CpuKvGroup> kv_;
  ThreadTeam team_;
  ResidentExperts all_resident_;
  ExpertSource& source_;
  const std::shared_ptr<const PackedDense> packed_;
  CpuDense dense_;
  CpuExperts experts_;
  ExpertGuess guess_;
  CpuLogits logits_;
  const int64_t scratch_stride_;  // floats of one thread
  AlignedBuffer<float> scratch_;  // of the attention kernel

  ExpertGroups groups_;
  std::vector<int32_t> requested_;            // experts of groups_
  std::vector<ExpertView> gate_up_, down_;    // [E] where the layer's experts are at the moment
  std::vector<ExpertGroups::Group> portion_;  // groups whose experts are there
  StageClock clock_;
  std::vector<int32_t> ids_;
  // Of the step between Submit and Wait:
  StepBatch batch_;
  LateMasks late_;
  StepResult result_;
  uint64_t last_ticket_ = 0;
};

}  // namespace

Arrangements BestArrangements(const WeightsView& weights, const CpuExecutorOptions& options) {
  const CpuKernels& kernels = options.kernels != nullptr ? *options.kernels : SelectCpuKernels();
  return ArrangementsFor(FormatsOf(options, kernels, weights), kernels);
}

CpuMemoryNeed EstimateCpuMemory(const ModelConfig& config, const WeightsView& weights,
                                const CpuExecutorOptions& options) {
  const auto registered = [] {
    CpuMemoryNeed sum;
    for (const MemoryEntry& entry : MemoryEntries()) {
      if (entry.memory_class == MemoryClass::kKv) sum.kv_bytes += entry.bytes;
      if (entry.memory_class == MemoryClass::kActivations) sum.activation_bytes += entry.bytes;
    }
    return sum;
  };
  // Address space that nobody touches costs nothing: the real thing is made, asked, and let go.
  const CpuMemoryNeed before = registered();
  const CpuKernels& kernels = options.kernels != nullptr ? *options.kernels : SelectCpuKernels();
  const KvLayout layout(config);
  const ExecutorInfo info = DeriveInfo(config, layout, options.limits);
  const CpuActivations activations(config, options.limits, FormatsOf(options, kernels, weights));
  std::vector<CpuKvGroup> kv;
  for (size_t g = 0; g < layout.groups.size(); ++g) {
    kv.emplace_back(info.kv_blocks[g], static_cast<int64_t>(layout.groups[g].layers.size()), config,
                    ArithmeticOf(options.precision, weights).kv_type);
  }
  const CpuMemoryNeed after = registered();
  const int64_t logits = LogitRows(options.limits) * config.vocab_size * int64_t{sizeof(float)};
  return {after.kv_bytes - before.kv_bytes, after.activation_bytes - before.activation_bytes + logits};
}

std::unique_ptr<Executor> MakeCpuExecutor(const ModelConfig& config, const WeightsView& weights,
                                          const CpuExecutorOptions& options) {
  return std::make_unique<CpuExecutor>(config, weights, options);
}

}  // namespace oxidized
