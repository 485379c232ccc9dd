// One answer (--prompt) or a chat (--interactive): prompt -> engine -> text on stdout as it comes.
#include <unistd.h>

#include <csignal>
#include <iostream>

#include "base/log.h"
#include "chat/turn.h"
#include "cli/options.h"
#include "cli/report.h"
#include "cli/terminal.h"
#include "harmony/render.h"

namespace oxidized::cli {
namespace {

class Generation {
 public:
  explicit Generation(const GenerateOptions& options)
      : options_(options), runtime_(Runtime::Load(options.runtime)), side_(options.color) {
    const std::filesystem::path& path = runtime_->checkpoint().path;
    if (options.runtime.model_path.empty() || options.verbose) {
      side_.Line(fmt::format("model: {} ({}), executor: {}", path.string(), runtime_->checkpoint().format,
                             runtime_->executor().Info().device));
    }
    CheckRouting();
    runtime_->ReadAhead([this](int64_t done, int64_t total) {
      side_.Status(fmt::format("reading the model: {:.1f} of {:.1f} GB", static_cast<double>(done) / 1e9,
                               static_cast<double>(total) / 1e9));
      return PendingSignal() == 0;
    });
    side_.Status("");
  }

  Runtime& runtime() { return *runtime_; }
  SideStream& side() { return side_; }

  // Runs one request to its end and streams what it says.
  Outcome Run(std::vector<int32_t> prompt, std::shared_ptr<Turn> turn, std::vector<int32_t> stop_tokens) {
    Request request;
    request.prompt = std::move(prompt);
    request.max_new_tokens = options_.max_tokens;
    request.sampling = options_.sampling;
    request.stop_tokens = std::move(stop_tokens);
    request.routing = options_.routing;
    request.mask = runtime_->sampling_mask();
    request.controller = turn;
    const auto id = runtime_->engine().Submit(std::move(request));
    if (!id) throw Error(id.error().kind, id.error().message);

    std::optional<Finished> finished;
    while (!finished) {
      runtime_->engine().Step();
      if (PendingSignal() != 0) runtime_->engine().Cancel(*id);
      for (Event& event : runtime_->engine().TakeEvents(*id)) {
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
    if (finished->error) throw Error(finished->error->kind, finished->error->message);

    Outcome outcome;
    outcome.text = turn->answer();
    outcome.reasoning = turn->reasoning();
    outcome.stop_reason = Name(finished->reason);
    if (finished->reason == StopReason::kController)
      outcome.stop_reason = turn->stop_string_matched() ? "stop_string" : "stop";
    outcome.seed = options_.sampling.seed;
    outcome.load_ms = runtime_->load_ms();
    outcome.stats = std::move(finished->stats);
    return outcome;
  }

  void Report(const Outcome& outcome) {
    if (options_.show_moe_metrics) side_.Line(RoutingTable(outcome.stats.routing));
    if (options_.memory_stats) side_.Line(MemoryTable());
    if (options_.verbose) {
      const RequestStats& s = outcome.stats;
      side_.Line(fmt::format("prompt {} tokens in {:.0f} ms, answer {} tokens in {:.0f} ms, seed {}",
                             s.prompt_tokens, s.prefill_us / 1e3, s.generated_tokens, s.decode_us / 1e3,
                             outcome.seed));
      for (const auto& [title, totals] : {std::pair{"prefill", &runtime_->engine().prefill_totals()},
                                          std::pair{"decode", &runtime_->engine().decode_totals()}}) {
        if (totals->steps > 0) side_.Line(StageTable(title, *totals));
      }
    }
  }

 private:
  // Needs the model: how many experts it has.
  void CheckRouting() {
    const ModelConfig& config = runtime_->checkpoint().config;
    const RoutingPolicy& routing = options_.routing;
    if (routing.num_experts > config.num_experts) {
      Fail(ErrorKind::kUsage, "--num-experts {}: the model has {} experts", routing.num_experts,
           config.num_experts);
    }
    const int32_t usable = routing.num_experts > 0 ? routing.num_experts : config.num_experts;
    const int32_t k = ExpertsPerToken(routing, config.experts_per_token);
    if (k > usable) {
      Fail(ErrorKind::kUsage,
           "a token uses {} experts, but only {} may be chosen (--experts-per-token, --num-experts)", k,
           usable);
    }
    if (routing != RoutingPolicy{}) {
      Log(LogLevel::kWarning, "the routing options change the model's answers; its own rule is plain topk");
    }
  }

  void Show(Turn& turn) {
    for (const Delta& delta : turn.TakeDeltas()) {
      switch (delta.kind) {
        case Delta::Kind::kAnswer:
          if (!options_.json) {
            side_.Status("");
            WriteAnswer(delta.text);
          }
          break;
        case Delta::Kind::kReasoning:
          if (options_.show_reasoning) side_.Write(delta.text);
          break;
        case Delta::Kind::kCallName:
          side_.Line(fmt::format("tool call (not run): {}", NeutralizeControls(delta.text)));
          break;
        case Delta::Kind::kCallArguments:
          side_.Write(delta.text);
          break;
      }
    }
  }

  const GenerateOptions& options_;
  std::unique_ptr<Runtime> runtime_;
  SideStream side_;
};

// The system message and, if there are instructions, the developer message.
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

std::shared_ptr<ChatTurn> NewTurn(Generation& generation, const GenerateOptions& o) {
  return std::make_shared<ChatTurn>(generation.runtime().tokenizer(), generation.runtime().harmony(),
                                    ChatTurnOptions{o.stop, o.max_reasoning_tokens});
}

int ExitCode(const Outcome& outcome, const Turn& turn, SideStream& side) {
  if (PendingSignal() != 0) return 128 + PendingSignal();
  if (outcome.stop_reason == "context_full") side.Line("the context is full");
  const bool cut = outcome.stop_reason == "length" || outcome.stop_reason == "context_full";
  if (cut && !turn.answer_began() && outcome.stop_reason == "length" && outcome.stats.generated_tokens > 0) {
    side.Line(fmt::format(
        "the {} tokens ended inside the reasoning, before an answer: allow more with --max-tokens, or "
        "ask for less with --reasoning-effort low",
        outcome.stats.generated_tokens));
    return static_cast<int>(ErrorKind::kCutBeforeAnswer);
  }
  if (cut && !turn.answer_began() && outcome.stop_reason == "context_full")
    return static_cast<int>(ErrorKind::kContextFull);
  return 0;
}

int RunPrompt(const GenerateOptions& o) {
  const std::string text = *o.prompt == "-" ? ReadInput("-") : *o.prompt;
  if (text.empty()) Fail(ErrorKind::kUsage, "the prompt is empty");
  Generation generation(o);
  Runtime& runtime = generation.runtime();

  std::shared_ptr<Turn> turn;
  std::vector<int32_t> prompt, stops;
  if (o.raw) {
    // A prompt written by hand may contain the format's own tokens.
    prompt = runtime.tokenizer().EncodeWithSpecials(text);
    stops = runtime.checkpoint().config.eos_token_ids;
    turn = std::make_shared<RawTurn>(runtime.tokenizer(), stops, o.stop);
  } else {
    Conversation conversation = Opening(o);
    conversation.messages.emplace_back(Role::kUser, text);
    prompt = RenderForCompletion(conversation, Role::kAssistant, runtime.tokenizer(), runtime.harmony());
    stops = ChatStopTokens(runtime.harmony());
    turn = NewTurn(generation, o);
  }
  Outcome outcome = generation.Run(std::move(prompt), turn, std::move(stops));
  if (const auto* chat = dynamic_cast<const ChatTurn*>(turn.get()); chat != nullptr && chat->called_tool()) {
    outcome.stop_reason = outcome.stop_reason == "stop" ? "tool_call" : outcome.stop_reason;
  }
  if (o.json) {
    WriteAnswer(OutcomeJson(outcome) + "\n");
  } else if (!outcome.text.empty() && outcome.text.back() != '\n') {
    WriteAnswer("\n");
  }
  generation.Report(outcome);
  return ExitCode(outcome, *turn, generation.side());
}

int RunInteractive(const GenerateOptions& o) {
  Generation generation(o);
  Runtime& runtime = generation.runtime();
  SideStream& side = generation.side();
  Conversation conversation = Opening(o);
  if (isatty(STDIN_FILENO) != 0) side.Line("Type a message; /reset begins anew, /quit or Ctrl-D leaves.");
  while (PendingSignal() == 0) {
    if (isatty(STDIN_FILENO) != 0) side.Write("> ");
    std::string line;
    if (!std::getline(std::cin, line) || line == "/quit") break;
    if (line.empty()) continue;
    if (line == "/reset") {
      conversation = Opening(o);
      continue;
    }
    if (line.front() == '/') {
      side.Line(fmt::format("{} is no command; there are /reset and /quit", NeutralizeControls(line)));
      continue;
    }
    conversation.messages.emplace_back(Role::kUser, RepairUtf8(line));
    const auto turn = NewTurn(generation, o);
    try {
      const Outcome outcome = generation.Run(
          RenderForCompletion(conversation, Role::kAssistant, runtime.tokenizer(), runtime.harmony()), turn,
          ChatStopTokens(runtime.harmony()));
      WriteAnswer("\n");
      for (const Message& message : turn->messages()) conversation.messages.push_back(message);
      generation.Report(outcome);
      ExitCode(outcome, *turn, side);  // says in words what cut the answer
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kContextFull) throw;
      conversation.messages.pop_back();
      side.Line(fmt::format("{}: /reset begins anew", error.what()));
    }
  }
  return PendingSignal() != 0 ? 128 + PendingSignal() : 0;
}

}  // namespace

int Run(const GenerateOptions& options) {
  return options.interactive ? RunInteractive(options) : RunPrompt(options);
}

}  // namespace oxidized::cli
