// One answer (--prompt): prompt -> engine -> text on stdout as it comes, then the exit code.
#include <csignal>

#include "base/printable.h"
#include "cli/commands/benchmark_moe.h"
#include "cli/commands/dry_run.h"
#include "cli/commands/generation.h"
#include "cli/commands/interactive.h"

namespace oxidized::cli {
namespace {

int ExitCode(const GenerateOptions& o, const Outcome& outcome, const Turn& turn, SideStream& side) {
  if (PendingSignal() != 0) return 128 + PendingSignal();
  if (outcome.stop_reason == "context_full") {
    side.Line(
        fmt::format("the context is full after {}: a longer --context or a shorter prompt leaves more room",
                    Counted(outcome.stats.prompt_tokens + outcome.stats.generated_tokens, "token")));
    return static_cast<int>(ErrorKind::kContextFull);
  }
  if (outcome.stop_reason != "length") return 0;
  if (turn.answer_began()) {
    side.Line(fmt::format("the answer was cut after {} (--max-tokens)",
                          Counted(outcome.stats.generated_tokens, "token")));
    return 0;
  }
  if (o.raw) return 0;  // --max-tokens 0: only the prompt was to be run
  side.Line(CutInReasoning(outcome));
  return static_cast<int>(ErrorKind::kCutBeforeAnswer);
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
    prompt = generation.Render(conversation);
    stops = ChatStopTokens(runtime.harmony());
    turn = generation.NewTurn();
  }
  Outcome outcome = generation.Run(std::move(prompt), turn, std::move(stops));
  if (const auto* chat = dynamic_cast<const ChatTurn*>(turn.get()); chat != nullptr && chat->called_tool()) {
    outcome.stop_reason = outcome.stop_reason == "stop" ? "tool_call" : outcome.stop_reason;
  }
  EndAnswer(outcome, [&] {
    if (o.json) {
      WriteAnswer(OutcomeJson(outcome, *generation.moe_report(), runtime) + "\n");
    } else if (!outcome.text.empty() && outcome.text.back() != '\n') {
      WriteAnswer("\n");
      generation.side().AnswerWritten("\n");
    }
    Report(o, outcome, generation, generation.side().terminal() && AnswerIsOnTerminal() && !o.json);
  });
  return ExitCode(o, outcome, *turn, generation.side());
}

}  // namespace

int Generate(const GenerateOptions& options) {
  if (options.dry_run) return RunDryRun(options);
  if (options.benchmark_moe) return RunBenchmarkMoe(options);
  return options.interactive ? RunInteractive(options) : RunPrompt(options);
}

}  // namespace oxidized::cli
