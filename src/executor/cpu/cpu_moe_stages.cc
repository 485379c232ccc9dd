#include "executor/cpu/cpu_moe_stages.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "executor/cpu/cpu_experts.h"
#include "executor/cpu/cpu_memory.h"
#include "executor/cpu/expert_groups.h"
#include "parallel/cpu_topology.h"
#include "parallel/thread_team.h"

namespace oxidized {
namespace {

template <typename Work>
StageCost Timed(const char* stage, Work work) {
  const auto start = std::chrono::steady_clock::now();
  const ProductCost cost = work();
  const std::chrono::duration<double, std::micro> elapsed = std::chrono::steady_clock::now() - start;
  return {stage, elapsed.count(), cost.bytes, cost.flops};
}

class CpuMoeStages final : public MoeStages {
 public:
  CpuMoeStages(const ModelConfig& config, const WeightsView& weights, const CpuExecutorOptions& options,
               int64_t max_tokens)
      : config_(config),
        weights_(weights),
        kernels_(options.kernels != nullptr ? *options.kernels : SelectCpuKernels()),
        format_(ChooseFormats(ArithmeticOf(options.precision, weights).rounding,
                              options.activations == ActivationType::kInt8, kernels_, weights)
                    .experts),
        team_(options.threads > 0 ? options.threads : DetectCpuTopology().DefaultThreads()),
        experts_(config_, kernels_, format_, team_),
        max_tokens_(max_tokens),
        normed_("moe stages", MemoryClass::kActivations,
                static_cast<size_t>(max_tokens * config.hidden_size)),
        normed_x_("moe stages", MemoryClass::kActivations,
                  static_cast<size_t>(max_tokens * XRowBytes(format_.type, config.hidden_size))),
        logits_("moe stages", MemoryClass::kActivations,
                static_cast<size_t>(max_tokens * config.most_experts())),
        output_("moe stages", MemoryClass::kActivations,
                static_cast<size_t>(max_tokens * config.hidden_size)) {
    Room(config.experts_per_token);
    for (const LayerWeights& layer : weights.layers)
      router_bias_.push_back(Widened(layer.router_bias, kernels_));
  }

  int64_t max_tokens() const override { return max_tokens_; }
  bool multiplies_bf16() const override { return format_.type == XType::kBf16; }

  void SetInput(std::span<const float> rows) override {
    const int64_t m = config_.hidden_size;
    OX_CHECK(rows.size() <= normed_.size() && static_cast<int64_t>(rows.size()) % m == 0);
    tokens_ = static_cast<int64_t>(rows.size()) / m;
    std::copy(rows.begin(), rows.end(), normed_.data());
    for (int64_t t = 0; t < tokens_; ++t) {
      kernels_.f32_to_x(normed_.data() + t * m, m, format_,
                        normed_x_.data() + t * XRowBytes(format_.type, m));
    }
  }

  StageCost Router(int32_t layer) override {
    const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
    experts_of_layer_ = config_.layer(layer).num_experts;
    const DenseArgs args{.x = normed_.data(),
                         .ldx = config_.hidden_size,
                         .w = w.router.data,
                         .bias = router_bias_[static_cast<size_t>(layer)].data(),
                         .y = logits_.data(),
                         .ldy = experts_of_layer_,
                         .tokens = tokens_,
                         .k = config_.hidden_size,
                         .x_rows = nullptr};
    return Timed("router", [&] {
      team_.Run([&](int worker, int workers) {
        const Share share = ShareOf(experts_of_layer_, kRowGranule, worker, workers);
        DenseProductFor(kernels_, w.router, XType::kF32)(args, share.begin, share.end);
      });
      return ProductCost{w.router.bytes(), 2 * tokens_ * w.router.rows * w.router.cols};
    });
  }

  void SetLogits(std::span<const float> logits) override {
    experts_of_layer_ = static_cast<int32_t>(static_cast<int64_t>(logits.size()) / tokens_);
    OX_CHECK(static_cast<int64_t>(logits.size()) == tokens_ * experts_of_layer_ &&
             logits.size() <= logits_.size());
    std::copy(logits.begin(), logits.end(), logits_.data());
  }

  StageCost Choose(const RoutingPolicy& policy) override {
    Room(ExpertsPerToken(policy, config_.experts_per_token));
    return Timed("choose", [&] {
      ClearChoices();
      const RoutedRows rows = Routed();
      Route(policy, config_.experts_per_token,
            logits_.span().first(static_cast<size_t>(tokens_ * experts_of_layer_)), experts_of_layer_, rows);
      return ProductCost{};
    });
  }

  void SetChoices(std::span<const int32_t> experts) override {
    OX_CHECK(static_cast<int64_t>(experts.size()) == tokens_);
    Room(1);
    ClearChoices();
    std::copy(experts.begin(), experts.end(), choices_.begin());
    std::fill(choice_weights_.begin(), choice_weights_.end(), 1.0f);
  }

  StageCost Dispatch() override {
    return Timed("dispatch", [&] {
      groups_.Build(Routed(), config_.most_experts());
      return ProductCost{};
    });
  }

  StageCost GateUp(int32_t layer) override {
    return Timed("gate_up", [&] {
      return experts_.GateUp(weights_.layers[static_cast<size_t>(layer)].gate_up, groups_.groups(),
                             normed_x_.data(), gated_.data());
    });
  }

  StageCost Down(int32_t layer) override {
    return Timed("down", [&] {
      return experts_.Down(weights_.layers[static_cast<size_t>(layer)].down, groups_.groups(), gated_.data(),
                           parts_.data());
    });
  }

  StageCost Combine() override {
    const int64_t m = config_.hidden_size;
    return Timed("combine", [&] {
      team_.Run([&](int worker, int workers) {
        const Share share = ShareOf(tokens_, 1, worker, workers);
        for (int64_t t = share.begin; t < share.end; ++t) {
          kernels_.f32_combine(parts_.data() + t * ranks_ * m, m, choice_weights_.data() + t * ranks_,
                               choices_.data() + t * ranks_, ranks_, m, output_.data() + t * m);
        }
      });
      return ProductCost{0, 2 * groups_.choices() * m};
    });
  }

  int64_t experts_used() const override { return static_cast<int64_t>(groups_.groups().size()); }
  int64_t busiest_rows() const override {
    size_t most = 0;
    for (const ExpertGroups::Group& group : groups_.groups()) most = std::max(most, group.places.size());
    return static_cast<int64_t>(most);
  }
  std::span<const float> output() const override {
    return output_.span().first(static_cast<size_t>(tokens_ * config_.hidden_size));
  }

 private:
  // Rows of `ranks` choices; memory only grows.
  void Room(int32_t ranks) {
    ranks_ = ranks;
    const auto places = static_cast<size_t>(max_tokens_ * ranks);
    choices_.resize(std::max(choices_.size(), places));
    choice_weights_.resize(choices_.size());
    const size_t part = places * static_cast<size_t>(config_.hidden_size);
    if (parts_.size() >= part) return;
    parts_ = AlignedBuffer<float>("moe stages", MemoryClass::kActivations, part);
    gated_ =
        AlignedBuffer<std::byte>("moe stages", MemoryClass::kActivations,
                                 places * static_cast<size_t>(GatedRowBytes(format_, config_.expert_width)));
  }

  void ClearChoices() {
    std::fill(choices_.begin(), choices_.end(), -1);
    std::fill(choice_weights_.begin(), choice_weights_.end(), 0.0f);
    dropped_.assign(static_cast<size_t>(tokens_), 0);
    rerouted_.assign(static_cast<size_t>(tokens_), 0);
  }

  RoutedRows Routed() {
    const auto places = static_cast<size_t>(tokens_ * ranks_);
    return {ranks_, std::span(choices_).first(places), std::span(choice_weights_).first(places), dropped_,
            rerouted_};
  }

  const ModelConfig config_;
  const WeightsView& weights_;
  const CpuKernels& kernels_;
  const XFormat format_;
  ThreadTeam team_;
  CpuExperts experts_;
  const int64_t max_tokens_;
  AlignedBuffer<float> normed_;        // [T, M]
  AlignedBuffer<std::byte> normed_x_;  // [T, M] in the products' format
  AlignedBuffer<float> logits_;        // [T, E]
  AlignedBuffer<float> output_;        // [T, M]
  AlignedBuffer<std::byte> gated_;     // [T * ranks, F] in the products' format
  AlignedBuffer<float> parts_;         // [T * ranks, M]
  std::vector<std::vector<float>> router_bias_;
  std::vector<int32_t> choices_;       // [T, ranks]
  std::vector<float> choice_weights_;  // [T, ranks]
  std::vector<uint8_t> dropped_, rerouted_;
  ExpertGroups groups_;
  int64_t tokens_ = 0;
  int32_t ranks_ = 0;
  int32_t experts_of_layer_ = 0;  // E of logits_
};

}  // namespace

std::unique_ptr<MoeStages> MakeCpuMoeStages(const ModelConfig& config, const WeightsView& weights,
                                            const CpuExecutorOptions& options, int64_t max_tokens) {
  return std::make_unique<CpuMoeStages>(config, weights, options, max_tokens);
}

}  // namespace oxidized
