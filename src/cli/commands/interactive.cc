// A conversation and the commands on it. Lines come from line_editor.h, answers from generation.h. Without a
// terminal on both ends it prints answers on stdout and nothing else there, one line in, one answer out.
#include "cli/commands/interactive.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/printable.h"
#include "cli/commands/generation.h"
#include "cli/commands/output_file.h"
#include "cli/terminal/line_editor.h"
#include "harmony/conversation_json.h"
#include "report/memory_pools.h"
#include "report/memory_report.h"
#include "tokenizer/utf8_stream.h"

namespace oxidized::cli {
namespace {

class Chat {
 public:
  explicit Chat(const GenerateOptions& options);
  int Run();

 private:
  struct Command {
    const char* name;
    const char* argument;  // for the help
    const char* help;
    void (Chat::*run)(const std::string& argument);
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
  void Save(const std::string& path);
  void SaveOver(const std::string& path);
  void Load(const std::string& path);
  void Retry(const std::string&);
  void Edit(const std::string& text);
  void Drop(const std::string&);
  void Quit(const std::string&) { leaving_ = true; }

  void Say(const std::string& text);  // a message of the user, then its answer
  void Answer();                      // the conversation ends with a message of the user
  // The place of the last message of the user; end() if there is none.
  std::vector<Message>::iterator LastQuestion();

  GenerateOptions options_;
  const bool terminal_;
  Generation generation_;
  SideStream& side_;
  std::unique_ptr<LineSource> lines_;
  Conversation conversation_;
  std::string prefill_;                    // what the next line begins with
  std::optional<Conversation> unedited_;   // to come back to if the edit is given up
  std::set<std::filesystem::path> saved_;  // what this chat may write again unasked
  bool leaving_ = false;
  bool context_full_ = false;  // when the last message was to be answered

  // Since the program began.
  int64_t answers_ = 0, generated_tokens_ = 0, prompt_tokens_ = 0, reused_tokens_ = 0;
  int64_t context_tokens_ = 0;  // of the conversation after the last answer
};

const Chat::Command Chat::kCommands[] = {
    {"/help", "", "this list", &Chat::Help},
    {"/reset", "", "begin a new conversation", &Chat::Reset},
    {"/system", "[TEXT|-]", "show, set or (-) clear the instructions", &Chat::System},
    {"/reasoning", "[low|medium|high]", "show or set how much the model reasons", &Chat::Reasoning},
    {"/retry", "", "answer the last message again, differently", &Chat::Retry},
    {"/edit", "[TEXT]", "change the last message and ask again", &Chat::Edit},
    {"/drop", "", "forget the oldest message and its answer, to make room", &Chat::Drop},
    {"/save", "FILE", "write the conversation as JSON to a new file, or one saved in this chat", &Chat::Save},
    {"/save!", "FILE", "the same, over whatever file is there", &Chat::SaveOver},
    {"/load", "FILE", "go on with a saved conversation", &Chat::Load},
    {"/stats", "", "tokens and time of this chat", &Chat::Stats},
    {"/moe", "", "which experts were used: the last answer, the whole chat", &Chat::Moe},
    {"/memory", "", "where the memory is", &Chat::Memory},
    {"/quit", "", "leave (also Ctrl-D)", &Chat::Quit},
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

Chat::Chat(const GenerateOptions& options)
    : options_(ForChat(options)),
      terminal_(OnTerminal()),
      generation_(options_),
      side_(generation_.side()),
      conversation_(Opening(options_)) {
  LineSourceOptions source{
      .terminal = terminal_, .edit = CapableTerminal(), .color = options_.color, .commands = {}};
  for (const Command& command : kCommands) source.commands.emplace_back(command.name);
  lines_ = OpenLineSource(std::move(source));
}

int Chat::Run() {
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
      if (unedited_) conversation_ = *std::exchange(unedited_, std::nullopt);
      continue;
    }
    const std::string text = Trim(line.text);
    if (unedited_ && (text.empty() || text.front() == '/'))
      conversation_ = *std::exchange(unedited_, std::nullopt);
    unedited_.reset();
    if (text.empty()) continue;
    try {
      if (text.front() == '/' && text.find('\n') == std::string::npos) {
        RunCommand(text);
      } else {
        Say(line.text);
      }
    } catch (const OutputFailed&) {
      throw;
    } catch (const Error& error) {
      if (!terminal_ && error.kind() == ErrorKind::kRequestFailed) throw;
      side_.Line(NeutralizeControls(error.what()));
    } catch (const Interrupted&) {  // while a file was read
    }
    if (PendingSignal() != 0) {
      if (!terminal_ || PendingSignal() != SIGINT) break;
      ClearInterrupt();
    }
  }
  if (PendingSignal() != 0) return 128 + PendingSignal();
  return context_full_ && !terminal_ ? static_cast<int>(ErrorKind::kContextFull) : 0;
}

void Chat::RunCommand(const std::string& line) {
  const std::string name = line.substr(0, line.find(' '));
  for (const Command& command : kCommands) {
    if (name != command.name) continue;
    const std::string argument = Trim(std::string_view(line).substr(name.size()));
    if (*command.argument == '\0' && !argument.empty())
      return side_.Line(
          fmt::format("{} takes nothing behind it, not '{}'", name, NeutralizeControls(argument)));
    const Conversation before = conversation_;
    try {
      return (this->*command.run)(argument);
    } catch (const Error&) {  // what could not be done has not been begun
      conversation_ = before;
      throw;
    }
  }
  side_.Line(fmt::format("{} is no command; /help lists them", NeutralizeControls(name)));
}

void Chat::Help(const std::string&) {
  for (const Command& command : kCommands)
    side_.Line(fmt::format("  {:<29}{}", fmt::format("{} {}", command.name, command.argument), command.help));
  side_.Line(
      lines_->CanEdit()
          ? "Pasted lines stay together; Alt-Enter, or a backslash at the end of a line, begins a new one.\n"
            "Arrow up brings back what was typed before, Ctrl-R searches it."
          : "A line that ends with a backslash goes on in the next one.");
}

void Chat::Reset(const std::string&) {
  conversation_ = Opening(options_);
  context_tokens_ = 0;
  if (terminal_) side_.Remark("a new conversation");
}

void Chat::System(const std::string& text) {
  auto& messages = conversation_.messages;
  const auto developer = std::find_if(messages.begin(), messages.end(),
                                      [](const Message& m) { return m.role == Role::kDeveloper; });
  if (text.empty()) {
    std::string now;
    if (developer != messages.end() && !developer->content.empty()) {
      if (const auto* content = std::get_if<DeveloperContent>(&developer->content.front()))
        now = content->instructions.value_or("");
    }
    side_.Line(now.empty() ? "no instructions; /system TEXT sets some" : NeutralizeControls(now));
    return;
  }
  options_.system = text == "-" ? "" : RepairUtf8(text);
  options_.developer.clear();
  if (developer != messages.end()) messages.erase(developer);
  const Conversation opening = Opening(options_);
  if (opening.messages.size() > 1) {
    const bool has_system = !messages.empty() && messages.front().role == Role::kSystem;
    messages.insert(messages.begin() + (has_system ? 1 : 0), opening.messages.back());
  }
  if (terminal_)
    side_.Remark(text == "-" ? "instructions cleared" : "instructions set, from the next answer on");
}

void Chat::Reasoning(const std::string& effort) {
  if (!effort.empty()) {
    const auto parsed = ParseReasoningEffort(effort);
    if (!parsed) {
      side_.Line(fmt::format("'{}' is none of low, medium, high", NeutralizeControls(effort)));
      return;
    }
    options_.reasoning_effort = *parsed;
    for (Message& message : conversation_.messages) {
      for (Content& content : message.content) {
        if (auto* system = std::get_if<SystemContent>(&content)) system->reasoning_effort = *parsed;
      }
    }
  }
  if (terminal_ || effort.empty())
    side_.Remark(fmt::format("reasoning effort: {}", Name(options_.reasoning_effort)));
}

void Chat::Moe(const std::string&) {
  if (answers_ == 0) return side_.Line("no answer yet");
  const MoeReport moe = *generation_.moe_report();
  const RoutingShape& shape = moe.routing->shape();
  side_.Line("last answer\n" + RoutingTables(moe.routing->last(), shape));
  if (answers_ > 1)
    side_.Line(fmt::format("\nall {} answers\n", answers_) + RoutingTables(moe.routing->Total(), shape));
  side_.Line(RunTables(moe));
}

void Chat::Stats(const std::string&) {
  side_.Line(fmt::format("{}, {} written; prompts of {}, {} of them reused", Counted(answers_, "answer"),
                         Counted(generated_tokens_, "token"), Counted(prompt_tokens_, "token"),
                         reused_tokens_));
  side_.Line(fmt::format("context: {} of {} tokens", context_tokens_,
                         generation_.runtime().engine().info().max_context));
  for (const auto& [title, totals] : {std::pair{"prefill", &generation_.runtime().engine().prefill_totals()},
                                      std::pair{"decode", &generation_.runtime().engine().decode_totals()}}) {
    if (totals->steps > 0) side_.Line(StageTable(title, *totals));
  }
}

void Chat::Memory(const std::string&) { side_.Line(MemoryTable() + "\n" + PoolTable(generation_.runtime())); }

void Chat::Save(const std::string& path) {
  if (path.empty()) return side_.Line("/save needs the name of a file");
  std::error_code none;
  const std::filesystem::path file = std::filesystem::weakly_canonical(ExpandHome(path), none);
  if (std::filesystem::exists(file, none) && !saved_.contains(file)) {
    return side_.Line(fmt::format("{} is there already and was not saved by this chat: /save! {} replaces it",
                                  NeutralizeControls(path), NeutralizeControls(path)));
  }
  SaveOver(path);
}

void Chat::SaveOver(const std::string& path) {
  if (path.empty()) return side_.Line("/save! needs the name of a file");
  const std::string file = ExpandHome(path);
  ReplaceFile(file, WriteConversationJson(conversation_, 2) + "\n");
  std::error_code none;
  saved_.insert(std::filesystem::weakly_canonical(file, none));
  side_.Remark(fmt::format("saved {} to {}", Counted(std::ssize(conversation_.messages), "message"),
                           NeutralizeControls(path)));
}

void Chat::Load(const std::string& path) {
  if (path.empty()) return side_.Line("/load needs the name of a file");
  Conversation loaded = ParseConversationJson(ReadInput(path == "-" ? "./-" : ExpandHome(path)), path);
  context_tokens_ =
      static_cast<int64_t>(generation_.Render(loaded).size());  // throws if it is no conversation
  conversation_ = std::move(loaded);
  for (const Message& message : conversation_.messages) {
    for (const Content& content : message.content) {
      const auto* system = std::get_if<SystemContent>(&content);
      if (system != nullptr && system->reasoning_effort)
        options_.reasoning_effort = *system->reasoning_effort;
    }
  }
  side_.Remark(fmt::format("loaded {}, {}", Counted(std::ssize(conversation_.messages), "message"),
                           Counted(context_tokens_, "token")));
}

std::vector<Message>::iterator Chat::LastQuestion() {
  auto& messages = conversation_.messages;
  const auto last = std::find_if(messages.rbegin(), messages.rend(),
                                 [](const Message& m) { return m.role == Role::kUser; });
  return last == messages.rend() ? messages.end() : std::prev(last.base());
}

void Chat::Retry(const std::string&) {
  const auto question = LastQuestion();
  if (question == conversation_.messages.end()) return side_.Line("there is no message to answer again");
  conversation_.messages.erase(std::next(question), conversation_.messages.end());
  ++options_.sampling.seed;  // the same one would give the same answer
  Answer();
}

void Chat::Edit(const std::string& text) {
  const auto question = LastQuestion();
  if (question == conversation_.messages.end()) return side_.Line("there is no message to edit");
  if (text.empty() && !lines_->CanEdit()) return side_.Line("/edit needs the new text here: /edit TEXT");
  if (text.empty()) {
    unedited_ = conversation_;
    prefill_ = question->Text();
  }
  conversation_.messages.erase(question, conversation_.messages.end());
  if (!text.empty()) Say(text);
}

void Chat::Drop(const std::string&) {
  auto& messages = conversation_.messages;
  const auto is_question = [](const Message& m) { return m.role == Role::kUser; };
  const auto first = std::find_if(messages.begin(), messages.end(), is_question);
  if (first == messages.end()) return side_.Line("there is nothing to drop");
  messages.erase(first, std::find_if(std::next(first), messages.end(), is_question));
  context_tokens_ = static_cast<int64_t>(generation_.Render(conversation_).size());
  if (terminal_)
    side_.Remark(fmt::format("dropped; {} of {} tokens in use", context_tokens_,
                             generation_.runtime().engine().info().max_context));
}

void Chat::Say(const std::string& text) {
  conversation_.messages.emplace_back(Role::kUser, RepairUtf8(text));
  const size_t before = conversation_.messages.size();
  try {
    Answer();
  } catch (const Error&) {  // no answer: as if it had not been said
    conversation_.messages.resize(before - 1);
    throw;
  }
}

void Chat::Answer() {
  const std::shared_ptr<ChatTurn> turn = generation_.NewTurn();
  std::optional<Outcome> outcome;
  try {
    const QuietInput quiet(terminal_, lines_->CanEdit());
    outcome = generation_.Run(generation_.Render(conversation_), turn,
                              ChatStopTokens(generation_.runtime().harmony()));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kContextFull) throw;
    context_full_ = true;
    throw Error(error.kind(),
                fmt::format("{}: /drop forgets the oldest message, /reset begins anew", error.what()));
  }
  if (outcome->text.empty() || outcome->text.back() != '\n') {
    if (!terminal_ || !outcome->text.empty()) WriteAnswer("\n");
    side_.AnswerWritten("\n");
  }
  const auto report = [&] { Report(options_, *outcome, generation_, terminal_); };
  if (outcome->error) return EndAnswer(*outcome, report);
  // What the model wrote is what was said, whole or cut.
  for (const Message& message : turn->messages()) conversation_.messages.push_back(message);

  context_full_ = outcome->stop_reason == "context_full";
  const RequestStats& stats = outcome->stats;
  ++answers_;
  generated_tokens_ += stats.generated_tokens;
  prompt_tokens_ += stats.prompt_tokens;
  reused_tokens_ += stats.reused_tokens;
  context_tokens_ = stats.prompt_tokens + stats.generated_tokens;

  if (outcome->stop_reason == "cancelled") {
    side_.Remark("stopped");
  } else if (outcome->stop_reason == "length") {
    side_.Line(turn->answer_began()
                   ? fmt::format("cut after {} (--max-tokens)", Counted(stats.generated_tokens, "token"))
                   : CutInReasoning(*outcome));
  } else if (outcome->stop_reason == "context_full") {
    side_.Line(
        fmt::format("the context of {} tokens is full: /drop forgets the oldest message, /reset begins anew",
                    generation_.runtime().engine().info().max_context));
  }
  EndAnswer(*outcome, report);
}

}  // namespace

int RunInteractive(const GenerateOptions& options) { return Chat(options).Run(); }

}  // namespace oxidized::cli
