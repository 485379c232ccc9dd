#include "cli/commands/generation.h"

#include "base/interrupt.h"
#include "base/log.h"
#include "base/printable.h"
#include "cli/commands/output_file.h"
#include "cli/terminal/progress_line.h"
#include "harmony/render.h"
#include "report/memory_pools.h"
#include "report/memory_report.h"
#include "report/moe_page.h"

namespace oxidized::cli {

void CheckRouting(const RoutingPolicy& routing, int32_t num_experts, int32_t experts_per_token) {
  if (routing.num_experts > num_experts)
    Fail(ErrorKind::kUsage, "--num-experts {}: the model has {}", routing.num_experts,
         Counted(num_experts, "expert"));
  const int32_t usable = routing.num_experts > 0 ? routing.num_experts : num_experts;
  const int32_t k = ExpertsPerToken(routing, experts_per_token);
  if (k > usable) {
    Fail(ErrorKind::kUsage,
         "a token uses {} experts, but only {} may be chosen (--experts-per-token, --num-experts)", k,
         usable);
  }
  RoutingPolicy other = routing;  // what is not the model's own, even if it was said
  if (other.num_experts == num_experts) other.num_experts = 0;
  if (other.experts_per_token == experts_per_token) other.experts_per_token = 0;
  if (other != RoutingPolicy{})
    Log(LogLevel::kWarning, "the routing options change the model's answers; its own rule is plain topk");
}

Generation::Generation(const GenerateOptions& options) : options_(options), side_(options.color) {
  side_.Status("opening the model");
  RuntimeOptions runtime = options.runtime;
  runtime.packing_progress = [this](int64_t done, int64_t total) {
    side_.Status(fmt::format("packing dense weights: {:.1f} of {:.1f} GB", static_cast<double>(done) / 1e9,
                             static_cast<double>(total) / 1e9));
    ThrowIfInterrupted();
  };
  runtime.comparing_progress = [this, &options](int64_t done, int64_t total) {
    side_.Status(fmt::format("comparing the model with {}: {} %", options.runtime.packed_weights.string(),
                             100 * done / total));
    ThrowIfInterrupted();
  };
  const auto show_reading = [this](int64_t done, int64_t total) {
    side_.Status(fmt::format("reading the model: {:.1f} of {:.1f} GB", static_cast<double>(done) / 1e9,
                             static_cast<double>(total) / 1e9));
  };
  runtime.reading_progress = show_reading;
  runtime.arranging_progress = [this](int64_t done, int64_t total) {
    side_.Status(fmt::format("rearranging the weights: {} %", 100 * done / total));
    ThrowIfInterrupted();
  };
  runtime_ = Runtime::Load(runtime);
  side_.Status("");
  if (options.runtime.model_path.empty() || options.verbose) {
    side_.Line(fmt::format("model: {} ({}), executor: {}", runtime_->checkpoint().path.string(),
                           runtime_->checkpoint().format, runtime_->executor().Info().device));
  }
  if (const PackedDense* packed = runtime_->packed(); packed != nullptr && options.verbose) {
    const std::filesystem::path& file = options.runtime.packed_weights;
    side_.Line(fmt::format("dense weights in 12 bits: {} instead of {}, {} in {:.0f} ms",
                           Amount(static_cast<double>(packed->packed_bytes())),
                           Amount(static_cast<double>(packed->stored_bytes())),
                           file.empty() ? "packed" : "out of " + file.string() + ", opened",
                           runtime_->packing_ms()));
  }
  if (runtime_->arrangement() != Arrangement::kAsStored && options.verbose) {
    const bool interleaved = runtime_->arrangement() == Arrangement::kInterleaved;
    side_.Line(fmt::format("{}: {} in {:.0f} ms",
                           interleaved ? "rows interleaved for 8-bit activations" : "blocks of MXFP4 grouped",
                           Amount(static_cast<double>(runtime_->arranged_bytes())),
                           runtime_->arranging_ms()));
  }
  const ModelConfig& config = runtime_->checkpoint().config;
  CheckRouting(options.routing, config.num_experts, config.experts_per_token);
  WatchRouting();
  runtime_->ReadAhead([&](int64_t done, int64_t total) {
    show_reading(done, total);
    return PendingSignal() == 0;
  });
  if (options.benchmark_moe) return;  // no text: a model without a tokenizer will do
  side_.Status("opening the tokenizer");
  // Its tables are many small pieces of the heap: what the heap grew by is what they take.
  const int64_t heap_before = HeapBytes();
  runtime_->tokenizer();
  tokenizer_memory_ =
      std::make_unique<MemoryRegistration>("tokenizer", MemoryClass::kTokenizer, HeapBytes() - heap_before);
  side_.Status("");
}

std::shared_ptr<ChatTurn> Generation::NewTurn() {
  return std::make_shared<ChatTurn>(runtime_->tokenizer(), runtime_->harmony(),
                                    ChatTurnOptions{options_.stop, options_.max_reasoning_tokens});
}

std::vector<int32_t> Generation::Render(const Conversation& conversation) {
  return RenderForCompletion(conversation, Role::kAssistant, runtime_->tokenizer(), runtime_->harmony());
}

Outcome Generation::Run(std::vector<int32_t> prompt, const std::shared_ptr<Turn>& turn,
                        std::vector<int32_t> stop_tokens) {
  Request request;
  request.prompt = std::move(prompt);
  request.max_new_tokens = options_.max_tokens;
  request.sampling = options_.sampling;
  request.stop_tokens = std::move(stop_tokens);
  request.routing = options_.routing;
  request.mask = runtime_->sampling_mask();
  request.controller = turn;
  if (routing_) {
    routing_->BeginRequest();
    request.routing_observers.push_back(routing_.get());
  }
  if (trace_) request.routing_observers.push_back(trace_.get());
  Engine& engine = runtime_->engine();
  const StageSums decode_before = Sum(engine.decode_totals());
  const auto id = engine.Submit(std::move(request));
  if (!id) throw Error(id.error().kind, id.error().message);

  last_shown_.reset();
  std::optional<Finished> finished;
  while (!finished) {
    engine.Step();
    if (PendingSignal() != 0) engine.Cancel(*id);
    for (Event& event : engine.TakeEvents(*id)) {
      if (const auto* progress = std::get_if<PrefillProgress>(&event);
          progress && progress->done < progress->total) {
        side_.Status(fmt::format("reading the prompt: {} of {} tokens", progress->done, progress->total));
      }
      if (auto* end = std::get_if<Finished>(&event)) finished = std::move(*end);
    }
    if (finished) turn->Finish();
    Show(*turn);
  }
  side_.Status("");
  if (last_shown_ && *last_shown_ != Delta::Kind::kAnswer) side_.EndLine();

  Outcome outcome;
  outcome.text = turn->answer();
  outcome.reasoning = turn->reasoning();
  outcome.stop_reason = Name(finished->reason);
  if (finished->reason == StopReason::kController)
    outcome.stop_reason = turn->stop_string_matched() ? "stop_string" : "stop";
  outcome.seed = options_.sampling.seed;
  outcome.load_ms = runtime_->load_ms();
  outcome.stats = std::move(finished->stats);
  outcome.decode = Sum(engine.decode_totals()) - decode_before;
  outcome.error = std::move(finished->error);
  return outcome;
}

// Sums cost next to nothing, but a plain answer has no use for them.
void Generation::WatchRouting() {
  const GenerateOptions& o = options_;
  if (o.benchmark_moe) return;
  const ModelConfig& config = runtime_->checkpoint().config;
  const RoutingShape shape =
      ShapeOf(o.routing, config.num_layers, config.num_experts, config.experts_per_token);
  if (o.json || o.interactive || o.show_moe_metrics || !o.moe_report.empty())
    routing_ = std::make_unique<RoutingCollector>(shape, o.moe_window);
  if (o.moe_trace.empty()) return;
  int64_t bytes = 0, experts = 0;
  for (const LayerWeights& layer : runtime_->checkpoint().weights.layers) {
    for (size_t e = 0; e < layer.gate_up.size(); ++e, ++experts)
      bytes += layer.gate_up[e].bytes() + layer.down[e].bytes();
  }
  const TraceHeader header{shape, o.moe_trace_logits, bytes / std::max<int64_t>(1, experts)};
  trace_ = std::make_unique<TraceWriter>(o.moe_trace, header);
}

std::optional<MoeReport> Generation::moe_report() const {
  if (!routing_) return std::nullopt;
  MoeReport report;
  report.model = runtime_->checkpoint().path.filename().string();
  report.policy = options_.routing;
  report.routing = routing_.get();
  report.prefill = &runtime_->engine().prefill_totals();
  report.decode = &runtime_->engine().decode_totals();
  if (const ExpertMemory* experts = runtime_->experts(); experts != nullptr && experts->store() != nullptr)
    report.cache = experts->store()->counters();
  return report;
}

void Generation::WriteMoeFiles() const {
  if (!options_.moe_report.empty()) ReplaceFile(options_.moe_report, MoePage(*moe_report()));
  if (trace_) trace_->Check();
}

void Generation::Show(Turn& turn) {
  for (const Delta& delta : turn.TakeDeltas()) {
    const bool shown = delta.kind == Delta::Kind::kAnswer ? !options_.json
                       : delta.kind == Delta::Kind::kReasoning
                           ? options_.reasoning_view != ReasoningView::kHidden
                           : true;
    if (!shown) {
      if (delta.kind == Delta::Kind::kReasoning)
        side_.Status("reasoning: " + Counted(turn.reasoning_tokens(), "token"));
      continue;
    }
    if (last_shown_ && *last_shown_ != delta.kind && delta.kind != Delta::Kind::kCallArguments)
      side_.EndLine();
    last_shown_ = delta.kind;
    switch (delta.kind) {
      case Delta::Kind::kAnswer:
        side_.Status("");
        WriteAnswer(delta.text);
        side_.AnswerWritten(delta.text);
        break;
      case Delta::Kind::kReasoning:
        side_.Write(delta.text, options_.reasoning_view == ReasoningView::kDim);
        break;
      case Delta::Kind::kCallName:
        side_.Line(fmt::format("tool call (not run): {}", NeutralizeControls(delta.text)));
        break;
      case Delta::Kind::kCallArguments:
        side_.Write(delta.text, true);
        break;
    }
  }
}

Conversation Opening(const GenerateOptions& o) {
  SystemContent system;
  if (o.model_identity) system.model_identity = o.model_identity;
  system.reasoning_effort = o.reasoning_effort;
  system.conversation_start_date = o.date;
  Conversation conversation;
  conversation.messages.emplace_back(Role::kSystem, std::move(system));
  std::string instructions = o.system;
  if (!o.system.empty() && !o.developer.empty()) instructions += "\n\n";
  instructions += o.developer;
  if (!instructions.empty()) {
    DeveloperContent developer;
    developer.instructions = std::move(instructions);
    conversation.messages.emplace_back(Role::kDeveloper, std::move(developer));
  }
  return conversation;
}

void Report(const GenerateOptions& options, const Outcome& outcome, Generation& generation, bool person) {
  SideStream& side = generation.side();
  if (options.show_moe_metrics) {
    const MoeReport moe = *generation.moe_report();
    side.Line(RoutingTables(moe.routing->last(), moe.routing->shape()));
    side.Line(RunTables(moe));
  }
  if (options.memory_stats) side.Line(MemoryTable() + "\n" + PoolTable(generation.runtime()));
  if (options.verbose) {
    for (const auto& [title, totals] :
         {std::pair{"prefill", &generation.runtime().engine().prefill_totals()},
          std::pair{"decode", &generation.runtime().engine().decode_totals()}}) {
      if (totals->steps > 0) side.Line(StageTable(title, *totals));
    }
    side.Line(fmt::format("seed {}", outcome.seed));
  }
  if (options.verbose || person) side.Remark(ClosingLine(outcome));
  generation.WriteMoeFiles();
}

void EndAnswer(const Outcome& outcome, const std::function<void()>& report) {
  if (!outcome.error) return report();
  try {
    report();
  } catch (const Error& error) {
    Log(LogLevel::kWarning, "{}", error.what());
  } catch (const OutputClosed&) {  // the failure says more
  }
  throw Error(outcome.error->kind, outcome.error->message);
}

}  // namespace oxidized::cli
