#include "cli/commands/terminal_model.h"

#include <chrono>
#include <ctime>
#include <utility>

#include "base/file_in_use.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/output_file.h"
#include "base/printable.h"
#include "chat/answer_stream.h"
#include "chat/routing_fit.h"
#include "checkpoint/locate.h"
#include "cli/options/default_model.h"
#include "cli/terminal/progress_line.h"
#include "cli/terminal/terminal.h"
#include "cli/terminal/wording.h"
#include "report/memory_pools.h"
#include "report/memory_report.h"
#include "report/moe_page.h"

namespace oxidized::cli {

void CheckRouting(const RoutingPolicy& routing, const ModelConfig& config) {
  const RoutingFit fit = FitRouting(routing, config);
  if (!fit.experts_exist)
    Fail(ErrorKind::kUsage, "--num-experts {}: the model has {}", routing.num_experts,
         Counted(config.most_experts(), "expert"));
  if (!fit.fits()) {
    Fail(ErrorKind::kUsage,
         "a token uses {} experts, but only {} may be chosen (--experts-per-token, --num-experts)",
         fit.experts_per_token, fit.usable_experts);
  }
}

void WarnOfRouting(const RoutingPolicy& routing, const ModelConfig& config) {
  if (!FitRouting(routing, config).models_own)
    Log(LogLevel::kWarning, "the routing options change the model's answers; its own rule is plain topk");
}

namespace {

// "packed 1.2 GB instead of 1.6 GB, packed in 900 ms"
std::string PreparedText(const PreparedWeights& weights) {
  std::string text = fmt::format("{}: {}", weights.what, Amount(static_cast<double>(weights.bytes)));
  if (weights.stored_bytes > 0) text += " instead of " + Amount(static_cast<double>(weights.stored_bytes));
  if (!weights.how.empty()) text += ", " + weights.how;
  return text + fmt::format(" in {:.0f} ms", weights.milliseconds);
}

}  // namespace

std::string ProgressText(PrepareStage stage, const DeviceOptions& options, int64_t done, int64_t total) {
  const auto gigabytes = [&](const char* what) {
    return fmt::format("{}: {:.1f} of {:.1f} GB", what, static_cast<double>(done) / 1e9,
                       static_cast<double>(total) / 1e9);
  };
  switch (stage) {
    case PrepareStage::kPacking:
      return gigabytes("packing dense weights");
    case PrepareStage::kReading:
      return gigabytes("reading the model");
    case PrepareStage::kComparing:
      return fmt::format("comparing the model with {}: {} %", Shown(options.packed_weights),
                         100 * done / total);
    case PrepareStage::kArranging:
      return fmt::format("rearranging the weights: {} %", 100 * done / total);
  }
  return "";
}

TerminalModel::TerminalModel(const GenerateOptions& options) : options_(options), side_(options.color) {
  side_.Status("opening the model");
  RuntimeOptions runtime = options.runtime;
  runtime.check = [&options](const ModelConfig& config) { CheckRouting(options.routing, config); };
  runtime.device.progress = [this, &options](PrepareStage stage, int64_t done, int64_t total) {
    side_.Status(ProgressText(stage, options.runtime.device, done, total));
    ThrowIfInterrupted();
  };
  runtime_ = Runtime::Load(runtime);
  side_.Status("");
  if (options.runtime.model_path == DefaultModelPath() || options.verbose) {
    side_.Line(fmt::format("model: {} ({}), executor: {}", Shown(runtime_->checkpoint().path),
                           runtime_->checkpoint().format, runtime_->executor().Info().device));
  }
  for (const PreparedWeights& weights : runtime_->device().report().prepared) {
    if (options.verbose) side_.Line(PreparedText(weights));
  }
  WarnOfRouting(options.routing, runtime_->checkpoint().config);
  for (const std::filesystem::path& file : FilesOfModel(runtime_->checkpoint().path)) KeepInUse(file);
  KeepInUse(options.runtime.tokenizer_path);
  WatchRouting();
}

AnswerOptions TerminalModel::OptionsOfAnswer() {
  return {.max_new_tokens = options_.max_tokens,
          .sampling = options_.sampling,
          .stop_strings = options_.stop,
          .max_reasoning_tokens = options_.max_reasoning_tokens,
          .routing = options_.routing,
          .mask = runtime_->sampling_mask()};
}

AnswerRequest TerminalModel::ChatAnswer(const Conversation& conversation) {
  return ChatRequest(conversation, runtime_->tokenizer(), runtime_->harmony(), OptionsOfAnswer());
}

AnswerRequest TerminalModel::RawAnswer(std::string_view prompt) {
  return RawRequest(prompt, runtime_->tokenizer(), runtime_->checkpoint().config.eos_token_ids,
                    OptionsOfAnswer());
}

int64_t TerminalModel::PromptTokens(const Conversation& conversation) {
  return std::ssize(ChatPrompt(conversation, runtime_->tokenizer(), runtime_->harmony()));
}

FinishedAnswer TerminalModel::Run(AnswerRequest& answer) {
  // A signal reaches no thread that waits for events, so they are waited for this long at most.
  constexpr auto kSignalPatience = std::chrono::milliseconds(50);
  AnswerParser& parser = *answer.parser;
  if (routing_) {
    routing_->BeginRequest();
    answer.request.routing_observers.push_back(routing_.get());
  }
  if (trace_) answer.request.routing_observers.push_back(trace_.get());
  const StageSums decode_before = Sum(engine_totals().decode);
  AnswerStream stream(runtime_->loop(), std::move(answer.request), parser);

  last_shown_.reset();
  while (stream.finished() == nullptr) {
    stream.Wait(kSignalPatience);
    if (PendingSignal() != 0) stream.Cancel();
    if (const auto progress = stream.Read(); progress && progress->done < progress->total)
      side_.Status(fmt::format("reading the prompt: {} of {} tokens", progress->done, progress->total));
    Show(parser);
  }
  side_.Status("");
  if (last_shown_ && *last_shown_ != Delta::Kind::kAnswer) side_.EndLine();

  FinishedAnswer done;
  done.text = parser.answer();
  done.reasoning = parser.reasoning();
  done.stop_reason = stream.end();
  done.seed = options_.sampling.seed;
  done.load_ms = runtime_->load_ms();
  done.stats = stream.finished()->stats;
  done.decode = Sum(engine_totals().decode) - decode_before;
  done.error = stream.finished()->error;
  return done;
}

TerminalModel::EngineTotals TerminalModel::engine_totals() const {
  return runtime_->loop().Call(
      [](const Engine& engine) { return EngineTotals{engine.prefill_totals(), engine.decode_totals()}; });
}

// Sums cost next to nothing, but a plain answer has no use for them.
void TerminalModel::WatchRouting() {
  const GenerateOptions& o = options_;
  if (o.benchmark_moe) return;
  const ModelConfig& config = runtime_->checkpoint().config;
  const RoutingShape shape = ShapeOf(o.routing, config);
  if (o.interactive || o.show_moe_metrics || !o.moe_report.path.empty())
    routing_ = std::make_unique<RoutingCollector>(shape, o.moe_window);
  if (o.moe_trace.path.empty()) return;
  int64_t bytes = 0, experts = 0;
  for (const LayerWeights& layer : runtime_->checkpoint().weights.layers) {
    for (size_t e = 0; e < layer.gate_up.size(); ++e, ++experts)
      bytes += layer.gate_up[e].bytes() + layer.down[e].bytes();
  }
  const TraceHeader header{shape, o.moe_trace_logits, bytes / std::max<int64_t>(1, experts)};
  trace_ = std::make_unique<TraceWriter>(o.moe_trace, header);
}

namespace {

// What the figures depend on.
std::string RunText(const GenerateOptions& o, const ExecutorInfo& info) {
  std::string text = fmt::format("{}, {}", info.name, info.precision);
  if (!info.activations.empty()) text += fmt::format(", activations {}", info.activations);
  text += fmt::format(", temperature {:g}", o.sampling.temperature);
  if (o.sampling.temperature > 0.0)
    text += fmt::format(", top-p {:g}, seed {}", o.sampling.top_p, o.sampling.seed);
  if (o.routing.capacity_factor) text += fmt::format(", expert capacity {:g}", *o.routing.capacity_factor);
  if (o.runtime.chunk_tokens > 0) text += fmt::format(", chunks of {} tokens", o.runtime.chunk_tokens);
  if (!o.raw) text += fmt::format(", reasoning {}", Name(o.reasoning_effort));
  return text;
}

}  // namespace

std::optional<MoeReport> TerminalModel::moe_report() {
  if (!routing_) return std::nullopt;
  MoeReport report;
  report.model = runtime_->checkpoint().path.filename().string();
  report.date = LocalMinute(std::time(nullptr));
  report.run = RunText(options_, runtime_->loop().info());
  report.policy = options_.routing;
  report.routing = routing_.get();
  reported_ = engine_totals();
  report.prefill = &reported_.prefill;
  report.decode = &reported_.decode;
  if (const ExpertStore* store = runtime_->device().expert_store()) report.cache = store->counters();
  return report;
}

void TerminalModel::WriteMoeFiles() {
  if (!options_.moe_report.path.empty()) WriteOutput(options_.moe_report, MoePage(*moe_report()));
  if (trace_) trace_->Check();
}

void TerminalModel::CloseTrace() {
  if (trace_) trace_->Close();
}

void TerminalModel::Show(AnswerParser& parser) {
  for (const Delta& delta : parser.TakeDeltas()) {
    const bool shown = delta.kind == Delta::Kind::kAnswer ? !options_.json
                       : delta.kind == Delta::Kind::kReasoning
                           ? options_.reasoning_view != ReasoningView::kHidden
                           : true;
    if (!shown) {
      if (delta.kind == Delta::Kind::kReasoning)
        side_.Status("reasoning: " + Counted(parser.reasoning_tokens(), "token"));
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

OpeningOptions OpeningOf(const GenerateOptions& o) {
  const char* between = o.system.empty() || o.developer.empty() ? "" : "\n\n";
  return {.instructions = o.system + between + o.developer,
          .model_identity = o.model_identity,
          .reasoning_effort = o.reasoning_effort,
          .date = o.date};
}

void ReportAnswer(const GenerateOptions& options, const FinishedAnswer& answer, TerminalModel& model,
                  bool person) {
  SideStream& side = model.side();
  if (options.show_moe_metrics) {
    const MoeReport moe = *model.moe_report();
    side.Line(RoutingTables(moe.routing->last(), moe.routing->shape()));
    side.Line(RunTables(moe));
  }
  if (options.memory_stats) side.Line(MemoryTable() + "\n" + PoolTable(model.runtime()));
  if (options.verbose) {
    const TerminalModel::EngineTotals all = model.engine_totals();
    for (const auto& [title, totals] :
         {std::pair{"prefill", &all.prefill}, std::pair{"decode", &all.decode}}) {
      if (totals->steps > 0) side.Line(StageTable(title, *totals));
    }
    side.Line(fmt::format("seed {}", answer.seed));
  }
  if (options.verbose || person) side.Remark(ClosingLine(answer));
  model.WriteMoeFiles();
}

void EndAnswer(const FinishedAnswer& answer, const std::function<void()>& report) {
  if (!answer.error) return report();
  try {
    report();
  } catch (const Error& error) {
    Log(LogLevel::kWarning, "{}", Told(error));
  } catch (const OutputClosed&) {  // the failure says more
  }
  throw Error(*answer.error);
}

std::string CutInReasoning(const FinishedAnswer& answer) {
  if (answer.stats.generated_tokens == 0)
    return "--max-tokens 0: the prompt was read, nothing was written; give 1 or more for an answer";
  return fmt::format(
      "the {} ended inside the reasoning, before an answer: allow more with --max-tokens, or "
      "ask for less with --reasoning-effort low",
      Counted(answer.stats.generated_tokens, "token"));
}

std::string NothingSaid(const FinishedAnswer& answer) {
  return fmt::format(
      "the model ended its turn after {} without an answer: ask again with another --seed, or see what it "
      "wrote with --show-reasoning",
      Counted(answer.stats.generated_tokens, "token"));
}

}  // namespace oxidized::cli
