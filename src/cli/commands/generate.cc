// One answer (--prompt): prompt -> engine -> text on stdout as it comes, then the exit code.
#include <csignal>

#include "base/log.h"
#include "base/printable.h"
#include "base/text_input.h"
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

// What standard input adds to a prompt that is given in another way, or is without one.
std::string Piped(bool beside_a_prompt) {
  using std::chrono::seconds;
  // Beside a prompt a silent pipe is most likely one that nobody means to write to.
  const seconds patience(beside_a_prompt ? 1 : 10);
  PipedInput piped = ReadPiped(patience);
  const std::string silent = !piped.silent
                                 ? ""
                                 : fmt::format(
                                       "; standard input is open, but nothing came from it for {} s "
                                       "(`-f -` waits for it, `</dev/null` says that there is nothing)",
                                       patience.count());
  if (beside_a_prompt) {
    if (piped.silent) Log(LogLevel::kWarning, "the prompt alone is answered{}", silent);
  } else if (piped.text.empty()) {
    Fail(ErrorKind::kUsage,
         "nothing to do: give --prompt TEXT, a prompt on standard input, --interactive, or a command; --help "
         "lists them{}",
         silent);
  }
  return std::move(piped.text);
}

// --prompt, --prompt-file and standard input, in this order, with a blank line between.
std::string PromptText(const GenerateOptions& o) {
  std::string text;
  const auto add = [&text](const std::string& part) {
    text += (text.empty() || part.empty() ? "" : "\n\n") + part;
  };
  const bool prompt_is_input = o.prompt == "-", file_is_input = o.prompt_file == "-";
  if (o.prompt && !prompt_is_input) add(DecodeText(*o.prompt, "--prompt"));
  if (o.prompt_file && !file_is_input) add(ReadInput(*o.prompt_file));
  add(prompt_is_input || file_is_input ? ReadInput("-") : Piped(o.prompt || o.prompt_file));
  if (text.empty()) Fail(ErrorKind::kUsage, "the prompt is empty");
  return text;
}

int RunPrompt(const GenerateOptions& o) {
  const std::string text = PromptText(o);
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
      const auto moe = o.show_moe_metrics ? model.moe_report() : std::nullopt;
      WriteAnswer(AnswerJson(answer, moe ? &*moe : nullptr, o.memory_stats ? &model.runtime() : nullptr) +
                  "\n");
    } else if (!answer.text.empty() && answer.text.back() != '\n') {
      WriteAnswer("\n");
      model.side().AnswerWritten("\n");
    }
    ReportAnswer(o, answer, model, model.side().terminal() && AnswerIsOnTerminal() && !o.json);
    model.CloseTrace();
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
