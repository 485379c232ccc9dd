#include "executor/cuda/cuda_executor.h"

#include <algorithm>
#include <array>
#include <deque>
#include <optional>

#include "base/error.h"
#include "executor/cuda/cuda_buffers.h"
#include "executor/cuda/cuda_weights.h"
#include "executor/cuda/policy_args.h"
#include "executor/cuda/shared_memory.h"
#include "executor/cuda/stage_report.h"
#include "executor/cuda/step_upload.h"
#include "executor/slots.h"
#include "executor/taps.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/schedule.h"

namespace oxidized {
namespace cuda {
namespace {

static_assert(kKvRows == kKvBlockTokens);

void Checked(const char* error, const char* what) {
  if (error != nullptr) Fail(ErrorKind::kRequestFailed, "cuda: {}: {}", what, error);
}

const char* NameOf(Arithmetic a) {
  return a == Arithmetic::kF32 ? "f32" : a == Arithmetic::kF16 ? "f16" : "bf16";
}

class CudaExecutor final : public Executor {
 public:
  CudaExecutor(const ModelConfig& config, const WeightsView& weights, const CudaExecutorOptions& options,
               const Card& card)
      : config_(config),
        layout_(config_),
        info_(DeriveInfo(config_, layout_, options.limits)),
        arithmetic_(ArithmeticOf(options.precision, weights)),
        card_(card.index),
        blocks_(card.processors),
        weights_(config_, weights, arithmetic_, info_.max_context, /*look=*/true),
        shared_(SharedMemoryOf(config_, weights_)),
        buffers_(config_, info_, arithmetic_, blocks_, stream_) {
    info_.name = "cuda";
    info_.device = fmt::format("{}, {} multiprocessors", card.name, card.processors);
    info_.precision = NameOf(arithmetic_);
    info_.steps_in_flight = 2;
    info_.late_masks = true;
    info_.can.routing_rules = KnownRules();
    weights_.Upload(stream_, buffers_.kv(), options.progress);
    Checked(AllowShared(PartsOf(arithmetic_), kMostShared), "shared memory of a step");  // of all executors
  }

  ~CudaExecutor() override {
    try {
      UseCard(card_);
      stream_.Wait();
    } catch (const Error&) {  // a card that is lost has nothing to wait for
    }
  }

  const ExecutorInfo& Info() const override { return info_; }

  void ResetSlot(int32_t slot, std::span<const int32_t> reused) override {
    InOrder([this, slot, tokens = std::vector<int32_t>(reused.begin(), reused.end())] {
      stream_.Fill(buffers_.last_token_of(slot), 0, sizeof(int32_t));
      stream_.Fill(buffers_.counts_of(slot), 0, int64_t{config_.vocab_size} * int64_t{sizeof(int32_t)});
      if (tokens.empty()) return;
      stream_.ToDevice(buffers_.reused_tokens(), tokens.data(),
                       std::ssize(tokens) * int64_t{sizeof(int32_t)});
      Checked(LaunchCount(buffers_.reused_tokens(), std::ssize(tokens), buffers_.counts_of(slot),
                          stream_.handle()),
              "counting reused tokens");
    });
  }

  void CopyBlocks(std::span<const BlockCopy> copies) override {
    InOrder([this, list = std::vector<BlockCopy>(copies.begin(), copies.end())] {
      for (const BlockCopy& copy : list) {
        const KvGroupArgs& group = buffers_.kv()[static_cast<size_t>(copy.group)];
        stream_.OnDevice(group.memory + copy.to * group.block_bytes,
                         group.memory + copy.from * group.block_bytes, group.block_bytes);
      }
    });
  }

  StepTicket Submit(const StepBatch& batch) override {
    OX_CHECK(batch.num_tokens() > 0 && batch.num_tokens() <= info_.max_step_tokens);
    OX_CHECK(steps_.size() < 2);
    auto step = std::make_unique<Step>();
    step->batch = batch;
    step->fails = std::exchange(fail_next_, false);
    step->ring = static_cast<int>(next_ticket_ % 2);
    step->late = std::any_of(batch.samples.begin(), batch.samples.end(),
                             [](const SampleSpec& spec) { return spec.late_mask; });
    Step* raw = step.get();
    steps_.push_back(std::move(step));
    try {
      InOrder([this, raw] { Begin(*raw); });
    } catch (...) {
      steps_.pop_back();
      waits_for_masks_ = false;
      throw;
    }
    return {next_ticket_++};
  }

  void GiveMasks(StepTicket ticket, std::span<const TokenMask* const> masks) override {
    Step& step = StepOf(ticket);
    step.late_masks.assign(masks.begin(), masks.end());
    step.has_masks = true;
    if (!step.begun) return;  // behind a step that still waits for its own
    try {
      FinishLate(step);
    } catch (...) {
      step.error = std::current_exception();
    }
    RunDeferred();
  }

  void Wait(StepTicket ticket, StepResult& result) override {
    OX_CHECK(!steps_.empty() && &StepOf(ticket) == steps_.front().get());
    const std::unique_ptr<Step> step = std::move(steps_.front());
    steps_.pop_front();
    ++first_ticket_;
    if (step->error) std::rethrow_exception(step->error);
    OX_CHECK(step->launched);
    UseCard(card_);
    Results& out = results_[static_cast<size_t>(step->ring)];
    out.done.Wait();
    if (step->fails) Fail(ErrorKind::kRequestFailed, "cuda: the step was made to fail");
    Collect(*step, out, result);
  }

  void FailNext() { fail_next_ = true; }

 private:
  // A step from Submit to Wait.
  struct Step {
    StepBatch batch;
    int ring = 0;
    bool late = false, has_masks = false, begun = false, launched = false, fails = false;
    std::vector<const TokenMask*> late_masks;
    std::exception_ptr error;
    StepArgs args = {};
    std::vector<int32_t> wanted;  // rows that have logits, ascending
    std::vector<SampleArgs> samples;
    int64_t top_places = 0;
  };
  // What comes back from the card.
  struct Results {
    PinnedMemory memory;
    SampleResult* samples = nullptr;
    int32_t* experts = nullptr;
    float* weights = nullptr;
    uint8_t *dropped = nullptr, *rerouted = nullptr;
    float* router_logits = nullptr;
    uint64_t* top_ranks = nullptr;
    float* top_logprobs = nullptr;
    float* logits = nullptr;
    int64_t* clocks = nullptr;
    Event begun, done;
  };

  Step& StepOf(StepTicket ticket) {
    OX_CHECK(ticket.id >= first_ticket_ && ticket.id < first_ticket_ + steps_.size());
    return *steps_[static_cast<size_t>(ticket.id - first_ticket_)];
  }

  // The card's queue goes on behind a step's sampling: while that waits for masks, calls wait too.
  void InOrder(std::function<void()> call) {
    UseCard(card_);
    if (waits_for_masks_) {
      deferred_.push_back(std::move(call));
    } else {
      call();
    }
  }
  void RunDeferred() {
    waits_for_masks_ = false;
    while (!deferred_.empty() && !waits_for_masks_) {
      const std::function<void()> call = std::move(deferred_.front());
      deferred_.pop_front();
      try {
        call();
      } catch (...) {
        // Of the step behind, whatever it was: it cannot be right without.
        if (!steps_.empty() && !steps_.back()->error) steps_.back()->error = std::current_exception();
      }
    }
  }

  void Begin(Step& step) {
    step.begun = true;
    const StepBatch& batch = step.batch;
    int32_t stride = 1;
    for (const RoutingPolicy& policy : batch.policies)
      stride = std::max(stride, ExpertsPerToken(policy, config_.experts_per_token));
    FindWanted(step);
    MakeSamples(step);
    step.args.model = weights_.on_card();
    step.args.tokens = batch.num_tokens();
    step.args.sequences = batch.num_sequences();
    buffers_.Fit(stride, static_cast<int32_t>(step.wanted.size()), static_cast<int32_t>(step.samples.size()),
                 step.args);
    if (batch.taps == nullptr) step.args.normed_tap = nullptr;
    step.args.ring_at = shared_.ring_at;
    step.args.ring_slots = shared_.slots;
    step.args.ring_slot_bytes = shared_.slot_bytes;
    SendInputs(step);
    results_[static_cast<size_t>(step.ring)].begun.Record(stream_);
    const int forward = ForwardPhases(config_.num_layers);
    if (batch.taps != nullptr) {
      ForwardShown(step);
    } else if (step.late) {
      Launch(step, 0, forward);
    }
    if (step.late && !step.has_masks) {
      waits_for_masks_ = true;
      return;
    }
    SendSamples(step);
    Launch(step, batch.taps != nullptr || step.late ? forward : 0,
           step.samples.empty() ? forward : AllPhases(config_.num_layers));
    BringBack(step);
  }

  void FinishLate(Step& step) {
    UseCard(card_);
    SendSamples(step);
    Launch(step, ForwardPhases(config_.num_layers), AllPhases(config_.num_layers));
    BringBack(step);
  }

  void Launch(Step& step, int begin, int end) {
    if (begin >= end) return;
    Checked(LaunchStep(step.args, PartsOf(arithmetic_), config_.num_layers, blocks_, shared_.bytes, begin,
                       end, barriers_passed_, stream_.handle()),
            "starting a step");
    barriers_passed_ += static_cast<uint32_t>(end - begin - 1);
  }

  void FindWanted(Step& step) const {
    const StepBatch& batch = step.batch;
    for (size_t s = 0; s < batch.logits.size(); ++s) {
      if (batch.logits[s] == nullptr) continue;
      for (int32_t t = batch.query_start[s]; t < batch.query_start[s + 1]; ++t) step.wanted.push_back(t);
    }
    for (const SampleSpec& spec : batch.samples) step.wanted.push_back(spec.row);
    std::sort(step.wanted.begin(), step.wanted.end());
    step.wanted.erase(std::unique(step.wanted.begin(), step.wanted.end()), step.wanted.end());
  }
  int32_t LogitsRowOf(const Step& step, int32_t row) const {
    return static_cast<int32_t>(std::lower_bound(step.wanted.begin(), step.wanted.end(), row) -
                                step.wanted.begin());
  }

  void MakeSamples(Step& step) const {
    static const SamplingParams kGreedy{.temperature = 0.0};
    const StepBatch& batch = step.batch;
    for (const SampleSpec& spec : batch.samples) {
      SampleArgs args = {};
      args.logits_row = LogitsRowOf(step, spec.row);
      args.slot = batch.slot[static_cast<size_t>(batch.SequenceOf(spec.row))];
      args.draw = spec.params != nullptr;
      args.mask_ids = -1;
      args.position = batch.positions[static_cast<size_t>(spec.row)] + 1;
      args.top = spec.top_logprobs;
      args.score = spec.score_token;
      args.top_at = step.top_places;
      args.numbers = SamplingNumbersOf(spec.params != nullptr ? *spec.params : kGreedy);
      step.top_places += std::clamp(spec.top_logprobs, 0, config_.vocab_size);
      step.samples.push_back(args);
    }
  }

  void SendInputs(Step& step) {
    const StepBatch& batch = step.batch;
    const int32_t sequences = batch.num_sequences();
    std::vector<int32_t> sequence_of;
    for (int32_t s = 0; s < sequences; ++s)
      sequence_of.resize(static_cast<size_t>(batch.query_start[static_cast<size_t>(s) + 1]), s);
    CheckRows(batch, sequence_of);
    std::vector<PolicyArgs> policies;
    for (const int32_t policy : batch.policy)
      policies.push_back(
          PolicyArgsOf(batch.policies[static_cast<size_t>(policy)], config_.experts_per_token));

    inputs_.Begin();
    const int64_t ids = inputs_.Put(batch.token_ids), positions = inputs_.Put(batch.positions),
                  sequence = inputs_.Put(sequence_of), query_start = inputs_.Put(batch.query_start),
                  slot = inputs_.Put(batch.slot), policy = inputs_.Put(policies),
                  rows = inputs_.Put(step.wanted);
    struct Places {
      int64_t offsets, first, ids;
    };
    std::vector<Places> places;
    for (const BlockTables& table : batch.kv) {
      Places& p = places.emplace_back();
      p.offsets = inputs_.Put(table.offsets);
      p.first = inputs_.Put(table.first_position);
      p.ids = inputs_.Put(table.block_ids);
    }
    inputs_.Reserve(stream_, static_cast<int64_t>(places.size() * sizeof(TableArgs)) + 16);
    std::vector<TableArgs> tables;
    for (const Places& p : places)
      tables.push_back(
          {inputs_.At<int32_t>(p.offsets), inputs_.At<int64_t>(p.first), inputs_.At<int32_t>(p.ids)});
    const int64_t table = inputs_.Put(tables);
    inputs_.Send(stream_, step.ring);
    StepArgs& a = step.args;
    a.token_ids = inputs_.At<int32_t>(ids);
    a.positions = inputs_.At<int64_t>(positions);
    a.sequence_of = inputs_.At<int32_t>(sequence);
    a.query_start = inputs_.At<int32_t>(query_start);
    a.slot = inputs_.At<int32_t>(slot);
    a.policy = inputs_.At<PolicyArgs>(policy);
    a.logits_rows = inputs_.At<int32_t>(rows);
    a.tables = inputs_.At<TableArgs>(table);
    a.max_splits = 1;
    for (const int64_t position : batch.positions) {
      for (const int32_t window : info_.kv_windows) {
        const int64_t visible = window > 0 ? std::min<int64_t>(window, position + 1) : position + 1;
        a.max_splits = std::max(a.max_splits, SplitsOf(visible));
      }
    }
  }

  // What the kernels would follow blindly.
  void CheckRows(const StepBatch& batch, const std::vector<int32_t>& sequence_of) const {
    OX_CHECK(std::ssize(sequence_of) == batch.num_tokens() && batch.kv.size() == layout_.groups.size());
    for (const int32_t slot : batch.slot) OX_CHECK(slot >= 0 && slot < info_.max_sequences);
    for (size_t t = 0; t < sequence_of.size(); ++t) {
      const int32_t id = batch.token_ids[t];
      OX_CHECK(id == kLastSampled || (id >= 0 && id < config_.vocab_size));
      const auto s = static_cast<size_t>(sequence_of[t]);
      OX_CHECK(batch.positions[t] >= 0 && batch.positions[t] < info_.max_context);
      for (const BlockTables& table : batch.kv) {
        const int64_t offset = batch.positions[t] - table.first_position[s];
        OX_CHECK(offset >= 0 && table.offsets[s] + offset / kKvBlockTokens < table.offsets[s + 1]);
      }
    }
  }

  void SendSamples(Step& step) {
    StepArgs& a = step.args;
    if (step.samples.empty()) return;
    std::vector<uint64_t> words;
    std::span<const TokenMask* const> late = step.late_masks;
    for (size_t i = 0; i < step.samples.size(); ++i) {
      const SampleSpec& spec = step.batch.samples[i];
      const TokenMask* mask = spec.late_mask ? late.front() : spec.mask;
      if (spec.late_mask) late = late.subspan(1);
      if (mask == nullptr) continue;
      step.samples[i].mask_ids = mask->size();
      step.samples[i].mask_at = std::ssize(words);
      words.insert(words.end(), mask->words().begin(), mask->words().end());
    }
    sampling_.Begin();
    const int64_t samples = sampling_.Put(step.samples), masks = sampling_.Put(words);
    if (tops_.bytes() < step.top_places * 16 + 512) {
      stream_.Wait();
      tops_ = DeviceMemory();
      tops_ = DeviceMemory(step.top_places * 16 + 512);
    }
    Arena tops(tops_.data());
    a.top_ranks = tops.Take<uint64_t>(step.top_places);
    a.top_logprobs = tops.Take<float>(step.top_places);
    sampling_.Send(stream_, step.ring);
    a.sample = sampling_.At<SampleArgs>(samples);
    a.masks = sampling_.At<uint64_t>(masks);
  }

  // Copies of what the step made, behind it in the stream.
  void BringBack(Step& step) {
    Results& out = results_[static_cast<size_t>(step.ring)];
    const StepArgs& a = step.args;
    const int64_t layers = config_.num_layers, rows = layers * a.tokens, places = rows * a.stride;
    const int64_t router = step.batch.router_logits ? rows * config_.most_experts() : 0;
    const bool sinks = std::any_of(step.batch.logits.begin(), step.batch.logits.end(),
                                   [](const LogitsSink* sink) { return sink != nullptr; });
    const int64_t logits = sinks ? int64_t{a.rows} * config_.vocab_size : 0;
    const auto lay_out = [&](uint8_t* base) {
      Arena arena(base);
      out.samples = arena.Take<SampleResult>(a.samples);
      out.experts = arena.Take<int32_t>(places);
      out.weights = arena.Take<float>(places);
      out.dropped = arena.Take<uint8_t>(rows);
      out.rerouted = arena.Take<uint8_t>(rows);
      out.router_logits = arena.Take<float>(router);
      out.top_ranks = arena.Take<uint64_t>(step.top_places);
      out.top_logprobs = arena.Take<float>(step.top_places);
      out.logits = arena.Take<float>(logits);
      out.clocks = arena.Take<int64_t>(2 * AllPhases(config_.num_layers));
      return arena.used();
    };
    const int64_t wanted = lay_out(nullptr);
    if (wanted > out.memory.bytes()) {
      out.memory = PinnedMemory();
      out.memory = PinnedMemory(wanted * 3 / 2);
    }
    lay_out(out.memory.data());
    const auto bring = [&](auto* to, const auto* from, int64_t n) {
      stream_.ToHost(to, from, n * static_cast<int64_t>(sizeof(*to)));
    };
    bring(out.samples, a.results, a.samples);
    bring(out.experts, a.experts, places);
    bring(out.weights, a.weights, places);
    bring(out.dropped, a.dropped, rows);
    bring(out.rerouted, a.rerouted, rows);
    bring(out.router_logits, a.router_logits, router);
    bring(out.top_ranks, a.top_ranks, step.top_places);
    bring(out.top_logprobs, a.top_logprobs, step.top_places);
    bring(out.logits, a.logits, logits);
    bring(out.clocks, a.clocks, 2 * AllPhases(config_.num_layers));
    out.done.Record(stream_);
    step.launched = true;
  }

  void Collect(const Step& step, const Results& from, StepResult& result) const {
    const StepBatch& batch = step.batch;
    const StepArgs& a = step.args;
    for (int32_t s = 0; s < batch.num_sequences(); ++s) {
      LogitsSink* sink = batch.logits.empty() ? nullptr : batch.logits[static_cast<size_t>(s)];
      if (sink == nullptr) continue;
      for (int32_t t = batch.query_start[static_cast<size_t>(s)];
           t < batch.query_start[static_cast<size_t>(s) + 1]; ++t) {
        sink->Row(batch.positions[static_cast<size_t>(t)],
                  {from.logits + int64_t{LogitsRowOf(step, t)} * config_.vocab_size,
                   static_cast<size_t>(config_.vocab_size)});
      }
    }

    result.samples.resize(step.samples.size());
    for (size_t i = 0; i < step.samples.size(); ++i)
      CollectSample(step.samples[i], from.samples[i], from, result.samples[i]);

    RoutingObservation& routing = result.routing;
    routing.Resize(config_.num_layers, a.tokens, a.stride, batch.router_logits ? config_.most_experts() : 0);
    std::copy_n(from.experts, routing.experts.size(), routing.experts.begin());
    std::copy_n(from.weights, routing.weights.size(), routing.weights.begin());
    std::copy_n(from.dropped, routing.dropped.size(), routing.dropped.begin());
    std::copy_n(from.rerouted, routing.rerouted.size(), routing.rerouted.begin());
    std::copy_n(from.router_logits, routing.logits.size(), routing.logits.begin());

    ReportStages(config_, weights_, a, batch.positions, routing, from.clocks,
                 Event::Microseconds(from.begun, from.done), result.stages);
  }

  void CollectSample(const SampleArgs& sample, const SampleResult& drawn, const Results& from,
                     SampledToken& out) const {
    out.token = drawn.token;
    out.logprob = drawn.logprob;
    out.score = drawn.score;
    out.finite = drawn.finite != 0;
    out.empty_mask = drawn.empty_mask != 0;
    out.top.clear();
    std::vector<std::pair<uint64_t, float>> top;
    for (int32_t i = 0; i < drawn.top_count; ++i)
      top.emplace_back(from.top_ranks[sample.top_at + i], from.top_logprobs[sample.top_at + i]);
    std::sort(top.begin(), top.end(), [](const auto& x, const auto& y) { return x.first > y.first; });
    for (const auto& [rank, logprob] : top) out.top.push_back({sampling_math::TokenOfRank(rank), logprob});
  }

  // Phase by phase, each one's values shown behind it.
  void ForwardShown(Step& step) {
    const StepArgs& a = step.args;
    const int layers = config_.num_layers;
    const auto show = [&](std::string_view name, int32_t layer, const float* from, int64_t cols,
                          int64_t rows) {
      std::vector<float> values(static_cast<size_t>(rows * cols));
      stream_.ToHost(values.data(), from, std::ssize(values) * int64_t{sizeof(float)});
      stream_.Wait();
      step.batch.taps->Tap(name, layer, values, cols);
    };
    const int64_t m = config_.hidden_size, t = a.tokens;
    for (int i = 0; i < ForwardPhases(layers); ++i) {
      Launch(step, i, i + 1);
      const auto [phase, layer] = PhaseAt(i, layers);
      switch (phase) {
        case Phase::kEmbed:
          show(tap::kEmbedding, -1, a.residual, m, t);
          break;
        case Phase::kQueryKeyValue:
          show(tap::kAttentionNorm, layer, a.normed_tap, m, t);
          show(tap::kQuery, layer, a.query, config_.query_width(), t);
          show(tap::kKey, layer, a.key, config_.kv_width(), t);
          show(tap::kValue, layer, a.value, config_.kv_width(), t);
          break;
        case Phase::kAttend:
          show(tap::kAttention, layer, a.attention, config_.query_width(), t);
          break;
        case Phase::kOut:
          show(tap::kAttentionOut, layer, a.attention_out, m, t);
          show(tap::kAttentionResidual, layer, a.residual, m, t);
          break;
        case Phase::kRoute:
          show(tap::kMlpNorm, layer, a.normed_tap, m, t);
          ShowRouter(step, layer);
          break;
        case Phase::kDown:
          show(tap::kMoeOut, layer, a.moe_out, m, t);
          show(tap::kResidual, layer, a.residual, m, t);
          break;
        case Phase::kUnembed:
          show(tap::kFinalNorm, -1, a.normed_tap, m, t);
          show(tap::kLogits, -1, a.logits, config_.vocab_size, a.rows);
          break;
        case Phase::kGateUp:
        case Phase::kChangeLogits:
        case Phase::kSample:
        case Phase::kKeepTokens:
          break;
      }
    }
  }

  void ShowRouter(Step& step, int32_t layer) {
    const int64_t t = step.args.tokens, width = config_.most_experts(),
                  own = config_.layer(layer).num_experts;
    std::vector<float> all(static_cast<size_t>(t * width)), values;
    stream_.ToHost(all.data(), step.args.router_logits + layer * t * width,
                   std::ssize(all) * int64_t{sizeof(float)});
    stream_.Wait();
    for (int64_t row = 0; row < t; ++row) {
      const auto from = all.begin() + row * width;
      values.insert(values.end(), from, from + own);
    }
    step.batch.taps->Tap(tap::kRouterLogits, layer, values, own);
  }

  const ModelConfig config_;
  const KvLayout layout_;
  ExecutorInfo info_;
  const Arithmetic arithmetic_;
  const int card_;
  const int blocks_;
  Stream stream_;
  DeviceWeights weights_;
  const SharedMemory shared_;
  DeviceBuffers buffers_;
  StepUpload inputs_, sampling_;
  DeviceMemory tops_;
  std::array<Results, 2> results_;
  uint32_t barriers_passed_ = 0;

  std::deque<std::unique_ptr<Step>> steps_;  // submitted and not waited for
  uint64_t first_ticket_ = 1, next_ticket_ = 1;
  bool waits_for_masks_ = false, fail_next_ = false;
  std::deque<std::function<void()>> deferred_;
};

Card CardAt(int index) {
  for (const Card& card : FindCards().cards) {
    if (card.index == index) return card;
  }
  Fail(ErrorKind::kUnsupported, "cuda: there is no card {}", index);
}

}  // namespace
}  // namespace cuda

CudaMemoryNeed EstimateCudaMemory(const ModelConfig& config, const WeightsView& weights,
                                  const CudaExecutorOptions& options) {
  const ExecutorInfo info = DeriveInfo(config, KvLayout(config), options.limits);
  const cuda::Arithmetic arithmetic = cuda::ArithmeticOf(options.precision, weights);
  const cuda::DeviceWeights placed(config, weights, arithmetic, info.max_context, /*look=*/false);
  cuda::SharedMemoryOf(config, placed);
  CudaMemoryNeed need;
  need.dense_bytes = placed.bytes().dense;
  need.expert_bytes = placed.bytes().experts;
  need.kv_bytes = cuda::KvBytesOf(config, info, arithmetic);
  need.activation_bytes = cuda::DeviceBuffers::BytesOfValues(config, info);
  need.decode_dense_bytes = placed.DenseBytesOfStep();
  for (int32_t layer = 0; layer < config.num_layers; ++layer)
    need.decode_expert_bytes += config.experts_per_token * (placed.expert(layer, 0).gate_up.bytes() +
                                                            placed.expert(layer, 0).down.bytes());
  return need;
}

std::unique_ptr<Executor> MakeCudaExecutor(const ModelConfig& config, const WeightsView& weights,
                                           const CudaExecutorOptions& options) {
  const cuda::Card card = cuda::CardAt(options.card);
  cuda::UseCard(card.index);
  return std::make_unique<cuda::CudaExecutor>(config, weights, options, card);
}

void FailNextCudaStep(Executor& executor) { static_cast<cuda::CudaExecutor&>(executor).FailNext(); }

}  // namespace oxidized
