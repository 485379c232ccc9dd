// The suite shown to see: executors with one thing wrong each, and the check that must say so. A sound
// executor in the same wrappers passes all of them, so that no fault is found where there is none.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <ostream>
#include <set>

#include "conformance/faulty_kernels.h"
#include "conformance/wrapped_executor.h"
#include "executor/cpu/cpu_executor.h"
#include "executor/testing/conformance/conformance.h"

namespace oxidized::conformance {
namespace {

Subject Wrapped(const std::string& name, std::function<Hooks()> hooks,
                Precision precision = Precision::kF32) {
  Subject subject;
  subject.name = name;
  subject.open = [hooks, precision](const ModelConfig& config, const WeightsView& weights,
                                    const ExecutorLimits& limits) {
    auto executor =
        MakeCpuExecutor(config, weights, {.limits = limits, .precision = precision, .threads = 1});
    auto wrapped = std::make_shared<WrappedExecutor>(std::move(executor), hooks());
    return OpenedExecutor{wrapped, wrapped.get()};
  };
  subject.fail_next_step = [](Executor& executor) {
    static_cast<WrappedExecutor&>(executor).fail_next = true;
  };
  return subject;
}

Subject WithKernels(const std::string& name, std::shared_ptr<const CpuKernels> kernels, Precision precision) {
  Subject subject;
  subject.name = name;
  subject.open = [kernels, precision](const ModelConfig& config, const WeightsView& weights,
                                      const ExecutorLimits& limits) {
    std::shared_ptr<Executor> executor = MakeCpuExecutor(
        config, weights, {.limits = limits, .precision = precision, .threads = 1, .kernels = kernels.get()});
    return OpenedExecutor{executor, executor.get()};
  };
  return subject;
}

std::vector<CheckResult> RunBriefly(const Subject& subject, std::vector<std::string_view> only) {
  // Models of the published widths belong to more than the brief set.
  const bool wide = only.size() == 1 && only[0].starts_with("wide");
  return RunConformance(
      subject,
      {.effort = wide ? Effort::kUsual : Effort::kBrief, .only = std::move(only), .goldens = GOLDEN_MODELS});
}

void ExpectCaught(const Subject& subject, const std::string& check) {
#ifdef OXIDIZED_BRIEF_CONFORMANCE
  if (check.starts_with("wide")) GTEST_SKIP() << "the published widths take minutes where code is slow";
#endif
  const std::vector<CheckResult> outcomes = RunBriefly(subject, {check});
  ASSERT_EQ(outcomes.size(), 1u) << "no check is called " << check;
  EXPECT_EQ(outcomes[0].left_out, "");
  ASSERT_FALSE(outcomes[0].failures.empty()) << check << " did not see: " << subject.name;
  std::cout << subject.name << "\n    " << check << ": " << outcomes[0].failures.front() << '\n';
}

// --- In the arithmetic.

class PlantedInKernels : public ::testing::TestWithParam<KernelFault> {};

TEST_P(PlantedInKernels, IsCaught) {
  const KernelFault& fault = GetParam();
  auto kernels = std::make_shared<CpuKernels>(SoundKernels());
  fault.plant(*kernels);
  ExpectCaught(WithKernels(fault.name, kernels, Precision::kF32), fault.caught_by);
  // What the reference shows in f32, the definition shows stage by stage, in 16 bits as well.
  if (fault.caught_by != std::string_view("taps")) return;
  ExpectCaught(WithKernels(std::string(fault.name) + ", f32", kernels, Precision::kF32), "stages");
  if (std::string_view(fault.name) == "keys and values lose half their bits") return;  // as they do in bf16
  ExpectCaught(WithKernels(std::string(fault.name) + ", bf16", kernels, Precision::kBf16), "stages");
}

std::string Words(const char* text) {
  std::string name(text);
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
}
INSTANTIATE_TEST_SUITE_P(Faults, PlantedInKernels,
                         ::testing::ValuesIn(KernelFaults().begin(), KernelFaults().end()),
                         [](const auto& param_info) { return Words(param_info.param.name); });

// --- In everything around it.

template <typename Edit>
Hooks Before(Edit edit) {
  Hooks hooks;
  hooks.before = edit;
  return hooks;
}
template <typename Edit>
Hooks After(Edit edit) {
  Hooks hooks;
  hooks.after = [edit](const StepBatch& batch, const StepResult&, StepResult& result) {
    edit(batch, result);
  };
  return hooks;
}
template <typename Edit>
Hooks OfParams(Edit edit) {
  return Before([edit](ChangedBatch& batch) {
    for (SamplingParams& params : batch.params) edit(params);
  });
}

// A rule of routing with something wrong.
template <typename Rule>
Hooks WithRule() {
  static const Rule rule;
  return Before([](ChangedBatch& batch) {
    for (RoutingPolicy& policy : batch.policies) {
      if (policy.strategy == &TopKRouting()) policy.strategy = &rule;
    }
  });
}
struct FaultyTopK : RoutingStrategy {
  const char* name() const override { return "faulty"; }
  const char* summary() const override { return ""; }
  bool DependsOnStep(const RoutingPolicy& policy) const override {
    return TopKRouting().DependsOnStep(policy);
  }
};
struct HighestIdOnTies final : FaultyTopK {
  void Route(const RoutingPolicy&, int32_t k, const RouterRows& rows, const RoutedRows& out) const override {
    for (int64_t t = 0; t < rows.tokens(); ++t) {
      const std::span<const float> row = rows.row(t);
      std::set<int32_t> taken;
      float total = 0.0f;
      const int64_t at = t * out.stride;
      for (int32_t rank = 0; rank < k; ++rank) {
        int32_t best = -1;
        for (int32_t e = 0; e < rows.usable; ++e) {
          if (!taken.contains(e) &&
              (best < 0 || row[static_cast<size_t>(e)] >= row[static_cast<size_t>(best)]))
            best = e;
        }
        taken.insert(best);
        const auto place = static_cast<size_t>(at + rank);
        out.experts[place] = best;
        out.weights[place] = std::exp(row[static_cast<size_t>(best)] -
                                      row[static_cast<size_t>(out.experts[static_cast<size_t>(at)])]);
        total += out.weights[place];
      }
      for (int32_t rank = 0; rank < k; ++rank) out.weights[static_cast<size_t>(at + rank)] /= total;
    }
  }
};
struct SixBits final : FaultyTopK {
  void Route(const RoutingPolicy& policy, int32_t k, const RouterRows& rows,
             const RoutedRows& out) const override {
    TopKRouting().Route(policy, k, rows, out);
    for (int32_t& expert : out.experts) expert = expert < 0 ? expert : expert & 63;
  }
};
struct NoCapacity final : FaultyTopK {
  void Route(const RoutingPolicy& policy, int32_t k, const RouterRows& rows,
             const RoutedRows& out) const override {
    RoutingPolicy free = policy;
    free.capacity_factor.reset();
    TopKRouting().Route(free, k, rows, out);
  }
};
struct SoftmaxOverAll final : FaultyTopK {
  void Route(const RoutingPolicy& policy, int32_t k, const RouterRows& rows,
             const RoutedRows& out) const override {
    TopKRouting().Route(policy, k, rows, out);
    for (int64_t t = 0; t < rows.tokens(); ++t) {
      for (int32_t rank = 0; rank < k; ++rank)
        out.weights[static_cast<size_t>(t * out.stride + rank)] *= 0.9f;
    }
  }
};

struct Fault {
  const char* name;
  const char* caught_by;
  Hooks (*hooks)();
};

const Fault kFaults[] = {
    {"the vocabulary is called smaller than it is", "info",
     [] {
       Hooks h;
       h.info = [](ExecutorInfo& info) { info.vocab_size -= 1; };
       return h;
     }},
    {"too few blocks for what it promises", "info",
     [] {
       Hooks h;
       h.info = [](ExecutorInfo& info) { info.kv_blocks.back() = 1; };
       return h;
     }},
    {"f32 that calls itself bf16", "rounding",
     [] {
       Hooks h;
       h.info = [](ExecutorInfo& info) { info.precision = "bf16"; };
       return h;
     }},

    {"seeds are ignored", "sampling", [] { return OfParams([](SamplingParams& p) { p.seed = 0; }); }},
    {"top-k is ignored", "sampling", [] { return OfParams([](SamplingParams& p) { p.top_k = 0; }); }},
    {"top-p is ignored", "sampling", [] { return OfParams([](SamplingParams& p) { p.top_p = 1.0; }); }},
    {"min-p is ignored", "sampling", [] { return OfParams([](SamplingParams& p) { p.min_p = 0.0; }); }},
    {"every sample has the first one's parameters", "sampling",
     [] {
       return Before([](ChangedBatch& b) {
         for (SamplingParams& p : b.params) p = b.params[0];
       });
     }},
    {"samples come in another order", "sampling",
     [] {
       return After(
           [](const StepBatch&, StepResult& r) { std::reverse(r.samples.begin(), r.samples.end()); });
     }},
    {"the highest id on ties", "greedy",
     [] {
       return After([](const StepBatch& b, StepResult& r) {
         // The model with twin ids: the other twin.
         for (size_t i = 0; i < r.samples.size(); ++i) {
           if (b.samples[i].params != nullptr && r.samples[i].token < 129) r.samples[i].token += 129;
         }
       });
     }},
    {"the slot of another sequence is fed", "greedy",
     [] {
       return Before([last = std::make_shared<int32_t>(-1)](ChangedBatch& b) {
         for (size_t s = 0; s < b.slot.size() && b.token_ids.size() == b.slot.size(); ++s) {
           if (b.token_ids[s] == kLastSampled && s + 1 == b.slot.size()) b.token_ids[s] = 0;
         }
       });
     }},
    {"log-probabilities are those of the score", "logprobs",
     [] {
       return After([](const StepBatch&, StepResult& r) {
         for (SampledToken& t : r.samples) t.logprob -= 0.01f;
       });
     }},
    {"one most likely token too few", "logprobs",
     [] {
       return After([](const StepBatch&, StepResult& r) {
         for (SampledToken& t : r.samples) {
           if (!t.top.empty()) t.top.pop_back();
         }
       });
     }},
    {"most likely tokens of equal logits by the highest id", "logprobs",
     [] {
       return After([](const StepBatch&, StepResult& r) {
         for (SampledToken& t : r.samples) {
           if (t.top.size() > 1) std::swap(t.top[0].token, t.top[1].token);
         }
       });
     }},
    {"most likely tokens left from before where none are asked for", "logprobs",
     [] {
       return After([](const StepBatch&, StepResult& r) {
         for (SampledToken& t : r.samples) {
           if (t.top.empty()) t.top.push_back({1, 0.0f});
         }
       });
     }},
    {"the token before the one to be scored", "logprobs",
     [] {
       return Before([](ChangedBatch& b) {
         for (SampleSpec& s : b.samples) {
           if (s.score_token > 0) --s.score_token;
         }
       });
     }},
    {"penalties are ignored", "penalties",
     [] {
       return OfParams([](SamplingParams& p) {
         p.repetition_penalty = 1.0;
         p.presence_penalty = p.frequency_penalty = 0.0;
       });
     }},
    {"reused tokens are not counted", "penalties",
     [] {
       Hooks h;
       h.reset = [](Executor& e, int32_t slot, std::span<const int32_t>) { e.ResetSlot(slot, {}); };
       return h;
     }},
    {"a slot is never reset", "penalties",
     [] {
       Hooks h;
       h.reset = [seen = std::set<int32_t>()](Executor& e, int32_t slot,
                                              std::span<const int32_t> reused) mutable {
         if (seen.insert(slot).second || !reused.empty()) e.ResetSlot(slot, reused);
       };
       return h;
     }},
    {"a slot that is reset keeps its last token", "slots",
     [] {
       Hooks h;
       h.reset = [seen = std::set<int32_t>()](Executor& e, int32_t slot,
                                              std::span<const int32_t> reused) mutable {
         if (seen.insert(slot).second || !reused.empty()) e.ResetSlot(slot, reused);
       };
       return h;
     }},
    {"a row that is only scored draws", "slots",
     [] {
       return Before([](ChangedBatch& b) {
         static const SamplingParams greedy{.temperature = 0.0};
         for (SampleSpec& s : b.samples) {
           if (s.params == nullptr) s.params = &greedy;
         }
       });
     }},
    {"masks are ignored", "masks",
     [] {
       return Before([](ChangedBatch& b) {
         for (SampleSpec& s : b.samples) s.mask = nullptr;
       });
     }},
    {"the first mask for all", "masks",
     [] {
       return Before([](ChangedBatch& b) {
         for (SampleSpec& s : b.samples) s.mask = b.samples[0].mask;
       });
     }},
    {"an empty mask allows the best", "empty-mask",
     [] {
       return After([](const StepBatch&, StepResult& r) {
         for (SampledToken& t : r.samples) t.empty_mask = false;
       });
     }},
    {"an empty mask voids its batch mates", "empty-mask",
     [] {
       return After([](const StepBatch&, StepResult& r) {
         const bool any = std::any_of(r.samples.begin(), r.samples.end(),
                                      [](const SampledToken& t) { return t.empty_mask; });
         for (SampledToken& t : r.samples) t.empty_mask = any;
       });
     }},

    {"of several samples of a sequence the last counts for all", "several-samples",
     [] {
       return After([](const StepBatch& b, StepResult& r) {
         for (size_t i = r.samples.size(); i-- > 1;) {
           if (b.SequenceOf(b.samples[i].row) == b.SequenceOf(b.samples[i - 1].row))
             r.samples[i - 1] = r.samples[i];
         }
       });
     }},
    {"the first of several samples is kept for the slot", "several-samples",
     [] {
       Hooks h = Before([](ChangedBatch& b) {
         // Later samples of a sequence are only scored; their tokens are put in afterwards.
         for (size_t i = 1; i < b.samples.size(); ++i) {
           if (b.batch.SequenceOf(b.samples[i].row) == b.batch.SequenceOf(b.samples[i - 1].row))
             b.samples[i].params = nullptr;
         }
       });
       return h;
     }},
    {"the last position is taken for the one before", "limits",
     [] {
       return Before([](ChangedBatch& b) {
         for (int64_t& p : b.positions) p = std::min<int64_t>(p, 68);
       });
     }},
    {"every sequence has the first one's policy", "policies",
     [] {
       return Before([](ChangedBatch& b) {
         for (int32_t& p : b.policy) p = b.policy[0];
       });
     }},
    {"a policy's index has four bits", "policies",
     [] {
       return Before([](ChangedBatch& b) {
         for (int32_t& p : b.policy) p &= 15;
       });
     }},

    {"copies go the other way round", "copy-order",
     [] {
       Hooks h;
       h.copy = [](Executor& e, std::span<const BlockCopy> c) {
         std::vector<BlockCopy> turned(c.rbegin(), c.rend());
         e.CopyBlocks(turned);
       };
       return h;
     }},
    {"copies of copies see what was there before the list", "copy-order",
     [] {
       Hooks h;
       h.copy = [](Executor& e, std::span<const BlockCopy> c) {
         std::vector<BlockCopy> flat;
         for (const BlockCopy& copy : c) {
           const bool chained = std::any_of(flat.begin(), flat.end(), [&](const BlockCopy& f) {
             return f.group == copy.group && f.to == copy.from;
           });
           if (!chained) flat.push_back(copy);
         }
         e.CopyBlocks(flat);
       };
       return h;
     }},
    {"the last copy of a list is forgotten", "copies",
     [] {
       Hooks h;
       h.copy = [](Executor& e, std::span<const BlockCopy> c) { e.CopyBlocks(c.first(c.size() - 1)); };
       return h;
     }},
    {"only the first group is copied", "copies",
     [] {
       Hooks h;
       h.copy = [](Executor& e, std::span<const BlockCopy> c) {
         std::vector<BlockCopy> some;
         for (const BlockCopy& copy : c) {
           if (copy.group == 0) some.push_back(copy);
         }
         e.CopyBlocks(some);
       };
       return h;
     }},
    {"the list of copies is kept and made a call later", "copies",
     [] {
       Hooks h;
       h.copy = [kept = std::vector<BlockCopy>()](Executor& e, std::span<const BlockCopy> c) mutable {
         e.CopyBlocks(kept);
         kept.assign(c.begin(), c.end());
       };
       return h;
     }},

    {"the highest expert on equal logits", "routing", WithRule<HighestIdOnTies>},
    {"weights of a softmax over all experts", "routing", WithRule<SoftmaxOverAll>},
    {"the number of an expert has six bits", "wide-128", WithRule<SixBits>},
    {"capacities are ignored", "capacity", WithRule<NoCapacity>},
    {"limits on experts are ignored", "routing",
     [] {
       return Before([](ChangedBatch& b) {
         for (RoutingPolicy& p : b.policies) p.num_experts = 0;
       });
     }},
    {"a request's K is ignored", "routing",
     [] {
       return Before([](ChangedBatch& b) {
         for (RoutingPolicy& p : b.policies) {
           if (p.experts_per_token > 3) p.experts_per_token = 3;
         }
       });
     }},
    {"experts are shown by id, not by rank", "routing",
     [] {
       return After([](const StepBatch&, StepResult& r) {
         const auto stride = static_cast<size_t>(r.routing.stride);
         for (size_t i = 0; i + stride <= r.routing.experts.size(); i += stride)
           std::sort(r.routing.experts.begin() + static_cast<ptrdiff_t>(i),
                     r.routing.experts.begin() + static_cast<ptrdiff_t>(i + stride));
       });
     }},
    {"what was rerouted is left as it was", "routing",
     [] {
       Hooks h;
       h.after = [](const StepBatch&, const StepResult& given, StepResult& r) {
         const size_t n = std::min(given.routing.rerouted.size(), r.routing.rerouted.size());
         std::copy_n(given.routing.rerouted.begin(), n, r.routing.rerouted.begin());
       };
       return h;
     }},
    {"dropped choices are not counted", "capacity",
     [] {
       return After([](const StepBatch&, StepResult& r) {
         std::fill(r.routing.dropped.begin(), r.routing.dropped.end(), uint8_t{0});
       });
     }},
    {"router logits are shown without their bias", "observation",
     [] {
       return After([](const StepBatch&, StepResult& r) {
         for (float& l : r.routing.logits) l -= 0.01f;
       });
     }},
    {"watching costs an expert", "observation",
     [] {
       return Before([](ChangedBatch& b) {
         for (RoutingPolicy& p : b.policies) {
           if (b.batch.router_logits) p.experts_per_token = 1;
         }
       });
     }},

    {"no row is ever called non-finite", "non-finite",
     [] {
       return After([](const StepBatch&, StepResult& r) {
         for (SampledToken& t : r.samples) t.finite = true;
       });
     }},
    {"one non-finite row makes all so", "non-finite",
     [] {
       return After([](const StepBatch&, StepResult& r) {
         const bool all =
             std::all_of(r.samples.begin(), r.samples.end(), [](const SampledToken& t) { return t.finite; });
         for (SampledToken& t : r.samples) t.finite = all;
       });
     }},
};

class PlantedAround : public ::testing::TestWithParam<Fault> {};
TEST_P(PlantedAround, IsCaught) {
  ExpectCaught(Wrapped(GetParam().name, GetParam().hooks), GetParam().caught_by);
}
void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.name; }
INSTANTIATE_TEST_SUITE_P(Faults, PlantedAround, ::testing::ValuesIn(kFaults),
                         [](const auto& param_info) { return Words(param_info.param.name); });

TEST(Planted, AFailureThatIsSwallowedIsCaught) {
  Subject subject = Wrapped("a failure that is swallowed", [] { return Hooks(); });
  subject.fail_next_step = [](Executor&) {};
  ExpectCaught(subject, "failed-step");
}

TEST(Planted, ARefusalOfThePublishedFormIsCaught) {
  Subject subject = Wrapped("refuses everything wide", [] { return Hooks(); });
  subject.open = [open = subject.open](const ModelConfig& config, const WeightsView& weights,
                                       const ExecutorLimits& limits) {
    if (config.most_experts() == 32 && limits.max_sequences == 5)
      Fail(ErrorKind::kUnsupported, "too many sequences");
    return open(config, weights, limits);
  };
  ExpectCaught(subject, "limits");
}

// Every other check is met by the same executor in the same wrappers.
TEST(Planted, NothingIsFoundInASoundExecutor) {
  const auto kernels = std::make_shared<CpuKernels>(SoundKernels());
  for (const Subject& subject : {Wrapped("sound, wrapped", [] { return Hooks(); }),
                                 WithKernels("sound kernels, f32", kernels, Precision::kF32),
                                 WithKernels("sound kernels, bf16", kernels, Precision::kBf16)}) {
    for (const std::string& failure : Failures(RunBriefly(subject, {})))
      ADD_FAILURE() << subject.name << ": " << failure;
  }
}

}  // namespace
}  // namespace oxidized::conformance
