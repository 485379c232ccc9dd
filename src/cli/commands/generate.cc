// One answer (--prompt): prompt -> engine -> text on stdout as it comes, then the exit code.
#include <csignal>

#include "base/printable.h"
#include "cli/commands/benchmark_moe.h"
#include "cli/commands/dry_run.h"
#include "cli/commands/interactive.h"
#include "cli/commands/terminal_model.h"
#include "cli/terminal/input.h"

namespace oxidized::cli {
namespace {

int ExitCode(const GenerateOptions& o, const FinishedAnswer& answer, bool answer_began, SideStream& side) {
  if (PendingSignal() != 0) return 128 + PendingSignal();
  if (answer.stop_reason == "context_full") {
    side.Line(
        fmt::format("the context is full after {}: a longer --context or a shorter prompt leaves more room",
                    Counted(answer.stats.prompt_tokens + answer.stats.generated_tokens, "token")));
    return static_cast<int>(ErrorKind::kContextFull);
  }
  if (answer.stop_reason == "no_answer") {
    side.Line(NothingSaid(answer));
    return static_cast<int>(ErrorKind::kNoAnswer);
  }
  if (answer.stop_reason != "length") return 0;
  if (answer_began) {
    side.Line(fmt::format("the answer was cut after {} (--max-tokens)",
                          Counted(answer.stats.generated_tokens, "token")));
    return 0;
  }
  if (o.raw) return 0;  // --max-tokens 0: only the prompt was to be run
  side.Line(CutInReasoning(answer));
  return static_cast<int>(ErrorKind::kCutBeforeAnswer);
}

int RunPrompt(const GenerateOptions& o) {
  const std::string text = *o.prompt == "-" ? ReadInput("-") : *o.prompt;
  if (text.empty()) Fail(ErrorKind::kUsage, "the prompt is empty");
  TerminalModel model(o);

  AnswerRequest request;
  if (o.raw) {
    request = model.RawAnswer(text);
  } else {
    Conversation conversation = OpeningMessages(OpeningOf(o));
    conversation.messages.emplace_back(Role::kUser, text);
    request = model.ChatAnswer(conversation);
  }
  const FinishedAnswer answer = model.Run(request);
  EndAnswer(answer, [&] {
    if (o.json) {
      WriteAnswer(AnswerJson(answer, *model.moe_report(), model.runtime()) + "\n");
    } else if (!answer.text.empty() && answer.text.back() != '\n') {
      WriteAnswer("\n");
      model.side().AnswerWritten("\n");
    }
    ReportAnswer(o, answer, model, model.side().terminal() && AnswerIsOnTerminal() && !o.json);
  });
  return ExitCode(o, answer, request.parser->answer_began(), model.side());
}

}  // namespace

int RunGenerate(const GenerateOptions& options) {
  if (options.dry_run) return RunDryRun(options);
  if (options.benchmark_moe) return RunBenchmarkMoe(options);
  return options.interactive ? RunInteractive(options) : RunPrompt(options);
}

}  // namespace oxidized::cli
