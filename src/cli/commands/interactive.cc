// A chat at a terminal: lines come from line_editor.h, answers from terminal_model.h, and what the commands
// do to the conversation is chat/chat_history.h's. Without a terminal on both ends it prints answers on
// stdout and nothing else there, one line in, one answer out.
#include "cli/commands/interactive.h"

#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/output_file.h"
#include "base/printable.h"
#include "chat/chat_history.h"
#include "cli/commands/terminal_model.h"
#include "cli/options/nearest.h"
#include "cli/terminal/input.h"
#include "cli/terminal/line_editor.h"
#include "cli/terminal/wording.h"
#include "harmony/conversation_json.h"
#include "report/memory_pools.h"
#include "report/memory_report.h"

namespace oxidized::cli {
namespace {

class ChatTerminal {
 public:
  explicit ChatTerminal(const GenerateOptions& options);
  int Run();

 private:
  struct Command {
    const char* name;
    const char* argument;  // for the help
    const char* help;
    void (ChatTerminal::*run)(const std::string& argument);
  };
  static const Command kCommands[];

  void RunCommand(const std::string& line);
  void Help(const std::string&);
  void Reset(const std::string&);
  void System(const std::string& text);
  void Reasoning(const std::string& effort);
  void Moe(const std::string&);
  void Stats(const std::string&);
  void Memory(const std::string&);
  void Save(const std::string& path) { SaveTo(path, /*over=*/false); }
  void SaveOver(const std::string& path) { SaveTo(path, /*over=*/true); }
  void SaveTo(const std::string& path, bool over);
  void Load(const std::string& path);
  void Retry(const std::string&);
  void Edit(const std::string& text);
  void Drop(const std::string&);
  void Quit(const std::string&) { leaving_ = true; }

  void Say(const std::string& text);  // a message of the user, then its answer
  void Answer();                      // the conversation ends with a message of the user
  int64_t MostTokens() { return model_.runtime().loop().info().max_context; }  // of the context

  GenerateOptions options_;
  const bool terminal_;
  TerminalModel model_;
  SideStream& side_;
  std::unique_ptr<LineSource> lines_;
  ChatHistory history_;
  std::string prefill_;                    // what the next line begins with
  std::optional<ChatHistory> unedited_;    // to come back to if the edit is given up
  std::set<std::filesystem::path> saved_;  // what this chat may write again unasked
  bool leaving_ = false;
  bool context_full_ = false;  // when the last message was to be answered

  // Since the program began.
  int64_t answers_ = 0, generated_tokens_ = 0, prompt_tokens_ = 0, reused_tokens_ = 0;
  int64_t context_tokens_ = 0;  // of the conversation after the last answer
};

const ChatTerminal::Command ChatTerminal::kCommands[] = {
    {"/help", "", "this list", &ChatTerminal::Help},
    {"/reset", "", "begin a new conversation (also /clear)", &ChatTerminal::Reset},
    {"/system", "[TEXT|-]", "show, set or (-) clear the instructions", &ChatTerminal::System},
    {"/reasoning", "[low|medium|high]", "show or set how much the model reasons", &ChatTerminal::Reasoning},
    {"/retry", "", "answer the last message again, differently", &ChatTerminal::Retry},
    {"/edit", "[TEXT]", "change the last message and ask again", &ChatTerminal::Edit},
    {"/drop", "", "forget the oldest message and its answer, to make room", &ChatTerminal::Drop},
    {"/save", "FILE", "write the conversation as JSON to a new file, or one saved in this chat",
     &ChatTerminal::Save},
    {"/save!", "FILE", "the same, over whatever file is there", &ChatTerminal::SaveOver},
    {"/load", "FILE", "go on with a saved conversation", &ChatTerminal::Load},
    {"/stats", "", "tokens and time of this chat", &ChatTerminal::Stats},
    {"/moe", "", "which experts were used: the last answer, the whole chat", &ChatTerminal::Moe},
    {"/memory", "", "where the memory is", &ChatTerminal::Memory},
    {"/quit", "", "leave (also /exit, /bye, Ctrl-D)", &ChatTerminal::Quit},
    // As other programs call them; the list has the names above.
    {"/?", "", nullptr, &ChatTerminal::Help},
    {"/clear", "", nullptr, &ChatTerminal::Reset},
    {"/exit", "", nullptr, &ChatTerminal::Quit},
    {"/bye", "", nullptr, &ChatTerminal::Quit},
};

bool OnTerminal() { return isatty(STDIN_FILENO) != 0 && AnswerIsOnTerminal(); }

GenerateOptions ForChat(GenerateOptions options) {
  options.color = options.color && OnTerminal();
  return options;
}

std::string Trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\n");
  if (begin == std::string_view::npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(" \t\n") - begin + 1));
}

std::string ExpandHome(const std::string& path) {
  const char* home = std::getenv("HOME");
  return path.starts_with("~/") && home != nullptr ? home + path.substr(1) : path;
}

ChatTerminal::ChatTerminal(const GenerateOptions& options)
    : options_(ForChat(options)),
      terminal_(OnTerminal()),
      model_(options_),
      side_(model_.side()),
      history_(OpeningOf(options_)) {
  LineSourceOptions source{
      .terminal = terminal_, .edit = CapableTerminal(), .color = options_.color, .commands = {}};
  for (const Command& command : kCommands) source.commands.emplace_back(command.name);
  lines_ = OpenLineSource(std::move(source));
}

int ChatTerminal::Run() {
  if (terminal_) {
    KeepRunningOnInterrupt();
    side_.Remark("Type a message. /help lists the commands; Ctrl-C ends an answer, Ctrl-D leaves.");
  }
  while (!leaving_) {
    const InputLine line = lines_->Read(std::exchange(prefill_, {}));
    if (line.kind == InputLine::Kind::kEnd) break;
    if (line.kind == InputLine::Kind::kInterrupted) {
      if (!terminal_ || PendingSignal() != SIGINT) break;
      ClearInterrupt();
      if (unedited_) history_ = *std::exchange(unedited_, std::nullopt);
      continue;
    }
    const std::string text = Trim(line.text);
    if (unedited_ && (text.empty() || text.front() == '/'))
      history_ = *std::exchange(unedited_, std::nullopt);
    unedited_.reset();
    if (text.empty()) continue;
    try {
      if (text.starts_with("//")) {
        Say(line.text.substr(line.text.find('/') + 1));
      } else if (text.front() == '/' && text.find('\n') == std::string::npos) {
        RunCommand(text);
      } else {
        Say(line.text);
      }
    } catch (const OutputFailed&) {
      throw;
    } catch (const Error& error) {
      if (!terminal_ && error.kind() == ErrorKind::kRequestFailed) throw;
      side_.Line(EscapeUnprintable(Told(error)));
    } catch (const Interrupted&) {  // while a file was read
    }
    if (PendingSignal() != 0) {
      if (!terminal_ || PendingSignal() != SIGINT) break;
      ClearInterrupt();
    }
  }
  model_.CloseTrace();
  if (PendingSignal() != 0) return 128 + PendingSignal();
  return context_full_ && !terminal_ ? static_cast<int>(ErrorKind::kContextFull) : 0;
}

void ChatTerminal::RunCommand(const std::string& line) {
  const std::string name = line.substr(0, line.find(' '));
  for (const Command& command : kCommands) {
    if (name != command.name) continue;
    const std::string argument = Trim(std::string_view(line).substr(name.size()));
    if (*command.argument == '\0' && !argument.empty())
      return side_.Line(
          fmt::format("{} takes nothing behind it, not '{}'", name, EscapeUnprintable(argument)));
    const ChatHistory before = history_;
    try {
      return (this->*command.run)(argument);
    } catch (const Error&) {  // what could not be done has not been begun
      history_ = before;
      throw;
    }
  }
  std::vector<std::string> names, begin_so;
  for (const Command& command : kCommands) {
    if (command.help == nullptr) continue;
    names.emplace_back(command.name);
    if (name.size() > 1 && names.back().starts_with(name)) begin_so.push_back(names.back());
  }
  if (begin_so.empty()) begin_so.push_back(Nearest(name, names));
  const std::string meant = fmt::format("{}", fmt::join(begin_so, ", "));
  side_.Line(fmt::format("{} is not a command{}; /help lists them, and // begins a message with a slash",
                         EscapeUnprintable(name), meant.empty() ? "" : " (did you mean " + meant + "?)"));
}

void ChatTerminal::Help(const std::string&) {
  for (const Command& command : kCommands) {
    if (command.help == nullptr) continue;
    side_.Line(fmt::format("  {:<29}{}", fmt::format("{} {}", command.name, command.argument), command.help));
  }
  side_.Line("  //TEXT                       a message that begins with a slash");
  side_.Line(
      lines_->CanEdit()
          ? "Pasted lines stay together; Alt-Enter, or a backslash at the end of a line, begins a new one.\n"
            "Arrow up brings back what was typed before, Ctrl-R searches it."
          : "A line that ends with a backslash goes on in the next one.");
}

void ChatTerminal::Reset(const std::string&) {
  history_.Reset();
  context_tokens_ = 0;
  if (terminal_) side_.Remark("a new conversation");
}

void ChatTerminal::System(const std::string& text) {
  if (text.empty()) {
    const std::string now = history_.instructions();
    side_.Line(now.empty() ? "no instructions; /system TEXT sets some" : NeutralizeControls(now));
    return;
  }
  history_.SetInstructions(text == "-" ? "" : text);
  if (terminal_)
    side_.Remark(text == "-" ? "instructions cleared" : "instructions set, from the next answer on");
}

void ChatTerminal::Reasoning(const std::string& effort) {
  if (!effort.empty()) {
    const auto parsed = ParseReasoningEffort(effort);
    if (!parsed) {
      side_.Line(fmt::format("'{}' is none of low, medium, high", EscapeUnprintable(effort)));
      return;
    }
    history_.SetReasoningEffort(*parsed);
  }
  if (terminal_ || effort.empty())
    side_.Remark(fmt::format("reasoning effort: {}", Name(history_.reasoning_effort())));
}

void ChatTerminal::Moe(const std::string&) {
  if (answers_ == 0) return side_.Line("no answer yet");
  const MoeReport moe = *model_.moe_report();
  const RoutingShape& shape = moe.routing->shape();
  side_.Line("last answer\n" + RoutingTables(moe.routing->last(), shape));
  if (answers_ > 1)
    side_.Line(fmt::format("\nall {} answers\n", answers_) + RoutingTables(moe.routing->Total(), shape));
  side_.Line(RunTables(moe));
}

void ChatTerminal::Stats(const std::string&) {
  side_.Line(fmt::format("{}, {} written; prompts of {}, {} of them reused", Counted(answers_, "answer"),
                         Counted(generated_tokens_, "token"), Counted(prompt_tokens_, "token"),
                         reused_tokens_));
  side_.Line(fmt::format("context: {} of {} tokens", context_tokens_, MostTokens()));
  const TerminalModel::EngineTotals all = model_.engine_totals();
  for (const auto& [title, totals] : {std::pair{"prefill", &all.prefill}, std::pair{"decode", &all.decode}}) {
    if (totals->steps > 0) side_.Line(StageTable(title, *totals));
  }
}

void ChatTerminal::Memory(const std::string&) {
  side_.Line(MemoryTable() + "\n" + PoolTable(model_.runtime()));
}

void ChatTerminal::SaveTo(const std::string& path, bool over) {
  if (path.empty()) return side_.Line(fmt::format("/save{} needs the name of a file", over ? "!" : ""));
  const std::filesystem::path file = ExpandHome(path);
  std::error_code none;
  const std::filesystem::path whole = std::filesystem::weakly_canonical(file, none);
  const bool own = saved_.contains(whole);
  const std::string conversation = WriteConversationJson(history_.conversation(), 2) + "\n";
  try {
    WriteOutput({file, {.sign = {}, .replace = over || own}}, conversation);
  } catch (const Error& error) {  // a chat has a word of its own for --force
    throw Error(error.kind(), error.fault().Text([](Setting setting) {
      return setting == Setting::kReplace ? "/save! FILE" : FlagOf(setting);
    }));
  }
  saved_.insert(whole);
  side_.Remark(fmt::format("saved {} to {}", Counted(std::ssize(history_.conversation().messages), "message"),
                           EscapeUnprintable(path)));
}

void ChatTerminal::Load(const std::string& path) {
  if (path.empty()) return side_.Line("/load needs the name of a file");
  Conversation loaded = ParseConversationJson(ReadInput(path == "-" ? "./-" : ExpandHome(path)), path);
  context_tokens_ = model_.PromptTokens(loaded);  // throws if it is not a conversation
  history_.Replace(std::move(loaded));
  side_.Remark(fmt::format("loaded {}, {}", Counted(std::ssize(history_.conversation().messages), "message"),
                           Counted(context_tokens_, "token")));
}

void ChatTerminal::Retry(const std::string&) {
  if (!history_.TakeBackAnswer()) return side_.Line("there is no message to answer again");
  ++options_.sampling.seed;  // the same one would give the same answer
  Answer();
}

void ChatTerminal::Edit(const std::string& text) {
  ChatHistory before = history_;
  const auto question = history_.TakeBackQuestion();
  if (!question) return side_.Line("there is no message to edit");
  if (!text.empty()) return Say(text);
  if (!lines_->CanEdit()) {
    history_ = std::move(before);
    return side_.Line("/edit needs the new text here: /edit TEXT");
  }
  unedited_ = std::move(before);
  prefill_ = *question;
}

void ChatTerminal::Drop(const std::string&) {
  if (!history_.DropOldest()) return side_.Line("there is nothing to drop");
  context_tokens_ = model_.PromptTokens(history_.conversation());
  if (terminal_) side_.Remark(fmt::format("dropped; {} of {} tokens in use", context_tokens_, MostTokens()));
}

void ChatTerminal::Say(const std::string& text) {
  const ChatHistory before = history_;
  history_.Say(text);
  try {
    Answer();
  } catch (const Error&) {  // no answer: as if it had not been said
    history_ = before;
    throw;
  }
}

void ChatTerminal::Answer() {
  AnswerRequest request;
  std::optional<FinishedAnswer> answer;
  try {
    const QuietInput quiet(terminal_, lines_->CanEdit());
    request = model_.ChatAnswer(history_.conversation());
    answer = model_.Run(request);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kContextFull) throw;
    context_full_ = true;
    throw Error(error.kind(),
                fmt::format("{}: /drop forgets the oldest message, /reset begins anew", error.fault().found));
  }
  if (answer->text.empty() || answer->text.back() != '\n') {
    if (!terminal_ || !answer->text.empty()) WriteAnswer("\n");
    side_.AnswerWritten("\n");
  }
  const auto report = [&] { ReportAnswer(options_, *answer, model_, terminal_); };
  if (answer->error) return EndAnswer(*answer, report);
  // What the model wrote is what was said, whole or cut.
  history_.Add(request.parser->Messages());

  context_full_ = answer->stop_reason == "context_full";
  const RequestStats& stats = answer->stats;
  ++answers_;
  generated_tokens_ += stats.generated_tokens;
  prompt_tokens_ += stats.prompt_tokens;
  reused_tokens_ += stats.reused_tokens;
  context_tokens_ = stats.prompt_tokens + stats.generated_tokens;

  if (answer->stop_reason == "cancelled") {
    side_.Remark("stopped");
  } else if (answer->stop_reason == "no_answer") {
    side_.Line(NothingSaid(*answer));
  } else if (answer->stop_reason == "length") {
    side_.Line(request.parser->answer_began()
                   ? fmt::format("cut after {} (--max-tokens)", Counted(stats.generated_tokens, "token"))
                   : CutInReasoning(*answer));
  } else if (answer->stop_reason == "context_full") {
    side_.Line(
        fmt::format("the context of {} tokens is full: /drop forgets the oldest message, /reset begins anew",
                    MostTokens()));
  }
  EndAnswer(*answer, report);
}

}  // namespace

int RunInteractive(const GenerateOptions& options) { return ChatTerminal(options).Run(); }

}  // namespace oxidized::cli
