#include "cli/options/spellings.h"

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <span>
#include <string_view>

#include "base/error.h"
#include "base/printable.h"
#include "cli/options/nearest.h"

namespace oxidized::cli {
namespace {

struct Spelling {
  const char* theirs;
  const char* ours;         // with a "=": the whole word
  const char* before = "";  // put before the value
};
constexpr Spelling kOptions[] = {
    {"-n", "--max-tokens"},
    {"--n-predict", "--max-tokens"},
    {"--predict", "--max-tokens"},
    {"--num-predict", "--max-tokens"},
    {"-c", "--context"},
    {"--ctx-size", "--context"},
    {"--num-ctx", "--context"},
    {"--max-model-len", "--context"},
    {"--temp", "--temperature"},
    {"-s", "--seed"},
    {"--repeat-penalty", "--repetition-penalty"},
    {"-r", "--stop"},
    {"--reverse-prompt", "--stop"},
    {"-sys", "--system"},
    {"--system-prompt", "--system"},
    {"-cnv", "--interactive"},
    {"--conversation", "--interactive"},
    {"--chat", "--interactive"},
    {"--hidethinking", "--show-reasoning=hidden"},
    {"--file", "--prompt-file"},
    {"--model", "--model-path"},
    {"-hf", "--model-path", "hf:"},
    {"-hfr", "--model-path", "hf:"},
    {"--hf-repo", "--model-path", "hf:"},
    {"--tokenizer", "--tokenizer-path"},
    {"--no-mmap", "--use-mmap=false"},
    {"-tb", "--threads"},
    {"--threads-batch", "--threads"},
    {"-dev", "--device"},
    {"-b", "--chunk-tokens"},
    {"--batch-size", "--chunk-tokens"},
    {"--max-num-batched-tokens", "--chunk-tokens"},
    {"--verbose-prompt", "--verbose"},
    {"-np", "--max-sequences"},
    {"--parallel", "--max-sequences"},
    {"--max-num-seqs", "--max-sequences"},
    {"--alias", "--served-model-name"},
};

// What has no option here, and why none is needed or what there is instead.
struct Pointer {
  const char* theirs;
  const char* answer;
};
constexpr const char* kGpu =
    "--device auto takes a GPU by itself, where there is one and the model fits; --device cpu does not";
constexpr const char* kExperts = "--expert-memory is the memory that experts may take";
constexpr const char* kFormat = "the chat format is built in (Harmony); no template is read";
constexpr const char* kSamplers = "there is one order of sampling; what is not asked for does nothing";
constexpr const char* kColour =
    "--show-reasoning shows the reasoning dimmed; NO_COLOR=1 switches colours off";
constexpr const char* kVerbatim = "text is taken as it is; $'...' of the shell has escapes";
constexpr const char* kPositions = "positions are scaled as the model's config.json says";
constexpr Pointer kNoOption[] = {
    {"bench -p", "tests are named by what they do: bench pp512 tg128"},
    {"bench -n", "tests are named by what they do: bench pp512 tg128"},
    {"bench -pg", "tests are named by what they do: bench pp512 tg128"},
    {"bench -d", "a test has its depth behind it: bench tg64@d4096"},
    {"bench -r", "--runs is the number of repetitions"},
    {"bench -o", "--json, --csv and --markdown choose the form of the output"},
    {"--think", "--reasoning-effort low|medium|high is how much the model reasons"},
    {"--dtype", "--precision auto|f32|bf16|f16"},
    {"--n-cpu-moe", kExperts},
    {"--cpu-moe", kExperts},
    {"-ngl", kGpu},
    {"--gpu-layers", kGpu},
    {"--n-gpu-layers", kGpu},
    {"-mg", "--device cuda:1 takes the second of several GPUs"},
    {"--main-gpu", "--device cuda:1 takes the second of several GPUs"},
    {"--tensor-parallel-size", "a model runs on one device: --device"},
    {"-fa", "attention is always computed without a table of scores; there is nothing to switch on"},
    {"--flash-attn", "attention is always computed without a table of scores; there is nothing to switch on"},
    {"--mlock", "--use-mmap=false reads the weights into memory"},
    {"--jinja", kFormat},
    {"--chat-template", kFormat},
    {"-ctk", "--precision is the type of the KV cache, too"},
    {"--cache-type-k", "--precision is the type of the KV cache, too"},
    {"--kv-cache-dtype", "--precision is the type of the KV cache, too"},
    {"--quantization", "weights are used in the form that the file has; `convert` writes others"},
    {"--gpu-memory-utilization", "--dry-run says what fits"},
    {"-no-cnv", "--prompt TEXT answers once, with --raw without the chat format"},
    {"-mu", "--model-path hf:org/name fetches a model"},
    {"--model-url", "--model-path hf:org/name fetches a model"},
    {"--lora", "merge the adapter into its base model first (peft: merge_and_unload)"},
    {"--format", "--json writes a record of the answer"},
    {"-hff", "a file is named behind the model: -m hf:org/name:QUANT"},
    {"--hf-file", "a file is named behind the model: -m hf:org/name:QUANT"},
    {"--no-cnv", "--prompt TEXT answers once, with --raw without the chat format"},
    {"-st", "--prompt TEXT answers once"},
    {"--single-turn", "--prompt TEXT answers once"},
    {"--list-devices", "`devices` lists them"},
    {"--ignore-eos", "an answer ends where the model ends it; --max-tokens cuts it before"},
    {"--no-warmup", "nothing is warmed up before an answer"},
    {"--grammar", "there are no grammars in this version"},
    {"--json-schema", "there are no grammars in this version"},
    {"-ub", "--chunk-tokens is the most prompt tokens in one step; there is one size of batches"},
    {"--ubatch-size", "--chunk-tokens is the most prompt tokens in one step; there is one size of batches"},
    {"--keep", "in a chat /drop forgets the oldest message; nothing is dropped unasked"},
    {"--numa", "threads go where the system puts them; numactl places them"},
    {"--samplers", kSamplers},
    {"--sampling-seq", kSamplers},
    {"--chat-template-file", kFormat},
    {"--color", kColour},
    {"-co", kColour},
    {"-e", kVerbatim},
    {"--escape", kVerbatim},
    {"-if", "-i begins a chat, -f FILE reads the prompt from a file"},
    {"-cmoe", kExperts},
    {"-ncmoe", kExperts},
    {"-ot", kExperts},
    {"--override-tensor", kExperts},
    {"--rope-scaling", kPositions},
    {"--rope-freq-base", kPositions},
    {"--trust-remote-code", "no code of a model is run"},
    {"--enforce-eager", "there is nothing to switch off"},
    {"--keepalive", "a model is open only as long as the command that uses it"},
    {"--nowordwrap", "lines are not wrapped"},
};
constexpr Pointer kNoCommand[] = {
    {"ps", "a model is open only as long as the command that uses it; `list` shows what was fetched"},
    {"stop", "a model is open only as long as the command that uses it"},
    {"create", "`convert` writes a model in another form"},
    {"cp", "`convert` writes a model in another form"},
    {"push", "models are fetched, not published"},
    {"quantize", "`convert` writes a model in another form"},
    {"signin", "HF_TOKEN is the token of your account at the hub"},
    {"login", "HF_TOKEN is the token of your account at the hub"},
    {"embed", "gpt-oss has no embeddings of texts"},
    {"launch", "`serve` answers over HTTP, where other programs look for a model"},
    {"complete", "--prompt TEXT --raw continues a text"},
};

struct CommandName {
  const char* theirs;
  const char* ours;
};
constexpr CommandName kCommandNames[] = {
    {"show", "inspect"}, {"info", "inspect"}, {"ls", "list"},      {"download", "pull"},
    {"remove", "rm"},    {"delete", "rm"},    {"server", "serve"},
};

const char* AnswerOf(std::span<const Pointer> pointers, std::string_view word) {
  const auto found = std::find_if(pointers.begin(), pointers.end(),
                                  [&](const Pointer& pointer) { return word == pointer.theirs; });
  return found == pointers.end() ? nullptr : found->answer;
}

bool IsOption(std::string_view word) {
  return word.size() > 1 && word.front() == '-' && !(word[1] >= '0' && word[1] <= '9') && word[1] != '.';
}

std::string NameOf(const std::string& word) { return word.substr(0, word.find('=')); }

const CommandInfo* FindCommand(const OptionTable& table, const std::string& name) {
  const auto found = std::find_if(table.begin(), table.end(),
                                  [&](const CommandInfo& command) { return command.name == name; });
  return found == table.end() ? nullptr : &*found;
}

const OptionInfo* FindOption(const CommandInfo& command, std::string_view name) {
  for (const OptionInfo& option : command.options) {
    if (std::find(option.names.begin(), option.names.end(), name) != option.names.end()) return &option;
  }
  return nullptr;
}

bool IsTruth(std::string_view word) {
  constexpr std::string_view kWords[] = {"true", "false", "on", "off", "yes", "no", "0", "1"};
  return std::find(std::begin(kWords), std::end(kWords), word) != std::end(kWords);
}

bool IsNumber(const std::string& word) {
  return !word.empty() && word.find_first_not_of("0123456789") == std::string::npos;
}

using Words = std::vector<std::string>;

// A command's options in our words.
class Translation {
 public:
  Translation(const CommandInfo& command, Words words) : command_(command), words_(std::move(words)) {}

  // Up to the first word that is neither an option nor its value, and where that is; words.size(): all are.
  std::pair<Words, size_t> UpToBare() {
    while (at_ < words_.size() && words_[at_] != "--" && IsOption(words_[at_])) {
      Option();
      ++at_;
    }
    const size_t at = at_ < words_.size() && words_[at_] == "--" ? words_.size() : at_;
    return {std::move(words_), at};
  }
  Words All() {
    for (; at_ < words_.size() && words_[at_] != "--"; ++at_) {
      if (IsOption(words_[at_])) Option();
    }
    return std::move(words_);
  }

 private:
  void Option() {
    const std::string name = NameOf(words_[at_]);
    const OptionInfo* option = FindOption(command_, name);
    if (option == nullptr) option = Translate(name);
    // Else the parser takes -mu for -m u.
    if (option == nullptr && name[1] != '-') {
      if (const char* answer = AnswerOf(kNoOption, name)) Fail(ErrorKind::kUsage, "{}: {}", name, answer);
    }
    if (option == nullptr) return TakeModel(name);
    // The parser would take the "=" of -m=FOLDER for part of the value.
    if (name[1] != '-' && words_[at_].starts_with(name + "="))
      words_[at_] = option->names.back() + words_[at_].substr(name.size());
    const bool has_value = words_[at_].find('=') != std::string::npos;
    if (has_value || at_ + 1 == words_.size()) return;
    if (option->needs_value) {
      ++at_;
      IntoThreads(name);
    } else {
      JoinChoice(*option);
    }
  }

  // nullptr: it means nothing here.
  const OptionInfo* Translate(const std::string& name) {
    std::string dashes = name;
    std::replace(dashes.begin(), dashes.end(), '_', '-');
    if (const OptionInfo* option = FindOption(command_, dashes)) return Replace(name, dashes, "", *option);
    for (const Spelling& spelling : kOptions) {
      if (dashes != spelling.theirs) continue;
      const OptionInfo* option = FindOption(command_, NameOf(spelling.ours));
      return option == nullptr ? nullptr : Replace(name, spelling.ours, spelling.before, *option);
    }
    return nullptr;
  }

  const OptionInfo* Replace(const std::string& name, const std::string& ours, const std::string& before,
                            const OptionInfo& option) {
    std::string& word = words_[at_];
    const std::string value = word.substr(name.size());  // "", "=4096"
    if (value.empty()) {
      word = ours;
      if (!before.empty() && at_ + 1 < words_.size()) words_[at_ + 1] = before + words_[at_ + 1];
    } else {
      word = ours + "=" + before + value.substr(1);
    }
    return &option;
  }

  // Of a command that takes its model as a word: `inspect -m MODEL`.
  void TakeModel(const std::string& name) {
    if (command_.positionals.empty()) return;
    const std::string& word = command_.positionals.front().names.front();
    if (word != "path" && word != "model") return;
    const auto* spelling = std::find_if(std::begin(kOptions), std::end(kOptions), [&](const Spelling& one) {
      return name == one.theirs && std::string_view(one.ours) == "--model-path";
    });
    const bool ours = name == "-m" || name == "--model-path";
    if (!ours && spelling == std::end(kOptions)) return;
    const std::string before = ours ? "" : spelling->before;
    if (words_[at_].size() > name.size()) {
      words_[at_] = before + words_[at_].substr(name.size() + 1);
    } else if (at_ + 1 < words_.size()) {
      words_[at_ + 1] = before + words_[at_ + 1];
      words_.erase(words_.begin() + static_cast<std::ptrdiff_t>(at_));
    }
  }

  // llama.cpp's -t is a number of threads, ours a tokenizer.
  void IntoThreads(const std::string& name) {
    if (name == "-t" && IsNumber(words_[at_]) && !std::filesystem::exists(words_[at_]) &&
        FindOption(command_, "--threads") != nullptr)
      words_[at_ - 1] = "--threads";
  }

  // "--use-mmap false": the parser takes a flag's word only behind "=".
  void JoinChoice(const OptionInfo& flag) {
    const std::vector<std::string> choices = flag.Choices();
    if (std::find(choices.begin(), choices.end(), words_[at_ + 1]) == choices.end()) return;
    words_[at_] += "=" + words_[at_ + 1];
    words_.erase(words_.begin() + static_cast<std::ptrdiff_t>(at_) + 1);
  }

  const CommandInfo& command_;
  Words words_;
  size_t at_ = 0;
};

// `chat [MODEL]` and `run MODEL [PROMPT...]` as options of the program.
Words AsAnswer(bool chat, Words words, const CommandInfo& program) {
  Words options, bare;
  bool model = false, prompt = false, help = false;
  for (size_t i = 0; i < words.size(); ++i) {
    if (!IsOption(words[i])) {
      bare.push_back(words[i]);
      continue;
    }
    options.push_back(words[i]);
    const OptionInfo* option = FindOption(program, NameOf(words[i]));
    if (option == nullptr) continue;
    model |= option->names.back() == "--model-path";
    prompt |= option->names.back() == "--prompt";
    help |= option->names.back() == "--help";
    if (option->needs_value && words[i].find('=') == std::string::npos && i + 1 < words.size())
      options.push_back(words[++i]);
  }
  if (!model && !bare.empty()) {
    options.insert(options.end(), {"--model-path", bare.front()});
    bare.erase(bare.begin());
  }
  if (chat) {
    options.emplace_back("--interactive");
  } else if (!prompt && !bare.empty()) {
    options.insert(options.end(), {"--prompt", fmt::format("{}", fmt::join(bare, " "))});
    bare.clear();
  } else if (!prompt && !help && isatty(STDIN_FILENO) != 0) {  // else standard input is the prompt
    options.emplace_back("--interactive");
  }
  options.insert(options.end(), bare.begin(), bare.end());
  return options;
}

// "moe simulat": the parser would say that a command is missing, "bench moee" that there is no such test.
void RefuseNearlyACommand(const OptionTable& table, const std::string& group, const std::string& word) {
  if (IsOption(word) || std::any_of(word.begin(), word.end(), [](char c) { return c >= '0' && c <= '9'; }))
    return;
  std::vector<std::string> names;
  for (const CommandInfo& command : table) {
    if (command.name.starts_with(group + " ")) names.push_back(command.name.substr(group.size() + 1));
  }
  if (const std::string nearest = Nearest(word, names); !nearest.empty()) {
    Fail(ErrorKind::kUsage, "'{}' is not a command of {}; the nearest is `{} {}` (--help lists the commands)",
         EscapeUnprintable(word), group, group, nearest);
  }
}

// The group that has a command of this name, "moe" of "simulate"; "": none.
std::string GroupOf(const OptionTable& table, const std::string& word) {
  for (const CommandInfo& command : table) {
    if (command.name.ends_with(" " + word)) return command.name.substr(0, command.name.find(' '));
  }
  return "";
}

}  // namespace

std::vector<std::string> InOurWords(std::vector<std::string> words, const OptionTable& table) {
  const CommandInfo& program = table.front();
  auto [ours, at] = Translation(program, std::move(words)).UpToBare();
  if (at == ours.size()) return ours;

  const std::string word = ours[at];
  Words before(ours.begin(), ours.begin() + static_cast<std::ptrdiff_t>(at));
  Words after(ours.begin() + static_cast<std::ptrdiff_t>(at) + 1, ours.end());
  const auto append = [](Words& to, const Words& more) { to.insert(to.end(), more.begin(), more.end()); };
  if (word == "chat" || word == "run") {
    append(before, Translation(program, std::move(after)).All());
    return AsAnswer(word == "chat", std::move(before), program);
  }
  if (word == "version" && after.empty()) return {"--version"};
  if (word == "help") {
    if (!after.empty() && FindCommand(table, after[0]) == nullptr) {
      if (const std::string group = GroupOf(table, after[0]); !group.empty())
        after.insert(after.begin(), group);
    }
    const bool known = after.empty() || FindCommand(table, after[0]) != nullptr;
    if (known) after.emplace_back("--help");  // else the parser says that there is no such command
    return InOurWords(std::move(after), table);
  }
  const auto* called = std::find_if(std::begin(kCommandNames), std::end(kCommandNames),
                                    [&](const CommandName& name) { return word == name.theirs; });
  Words path = {called == std::end(kCommandNames) ? word : called->ours};
  const CommandInfo* command = FindCommand(table, path[0]);
  if (command == nullptr) return ours;
  if (!after.empty()) {
    if (const CommandInfo* below = FindCommand(table, path[0] + " " + after[0])) {
      command = below;
      path.push_back(after[0]);
      after.erase(after.begin());
    } else {
      RefuseNearlyACommand(table, path[0], after[0]);
    }
  }
  // Options of the command that stand before it; of others the parser says that they belong to the program.
  const Words moved = Translation(*command, before).All();
  const bool its_own = std::all_of(moved.begin(), moved.end(), [&](const std::string& option) {
    return !IsOption(option) || FindOption(*command, NameOf(option)) != nullptr;
  });
  Words result = its_own ? Words() : before;
  append(result, path);
  if (its_own) append(result, moved);
  append(result, Translation(*command, std::move(after)).All());
  return result;
}

std::string WhatIsMeant(const std::string& word, const std::string& command, const OptionTable& table,
                        const std::vector<std::string>& all) {
  const CommandInfo* asked = FindCommand(table, command);
  const CommandInfo& known = asked != nullptr ? *asked : table.front();
  const std::string shown = EscapeUnprintable(word.substr(0, 200));
  const std::string where = known.name.empty() ? "" : " of `" + known.name + "`";
  const std::string help = known.name.empty() ? "--help lists the options"
                                              : fmt::format("{} --help lists the options", known.name);
  if (IsOption(word)) {
    const std::string name = NameOf(word);
    const char* answer = AnswerOf(kNoOption, known.name + " " + name);
    if (answer == nullptr) answer = AnswerOf(kNoOption, name);
    if (answer != nullptr) return fmt::format("{}: {}", shown, answer);
    for (const Spelling& spelling : kOptions) {
      if (name == spelling.theirs)
        return fmt::format("{} is {} here, and not an option{} ({})", shown, NameOf(spelling.ours), where,
                           help);
    }
    std::vector<std::string> names;
    for (const OptionInfo& option : known.options) names.push_back(option.names.back());
    const std::string nearest = Nearest(name, names);
    if (!nearest.empty())
      return fmt::format("{} is not an option{}; the nearest is {} ({})", shown, where, nearest, help);
    for (const CommandInfo& other : table) {
      if (FindOption(other, name) != nullptr) {
        return fmt::format("{} is not an option{}, but of {} ({})", shown, where,
                           other.name.empty() ? "the program without a command" : "`" + other.name + "`",
                           help);
      }
    }
    return fmt::format("{} is not an option{} ({})", shown, where, help);
  }
  const auto at = std::find(all.begin(), all.end(), word);
  if (at != all.begin() && at != all.end()) {
    const OptionInfo* flag = FindOption(known, *(at - 1));
    if (flag != nullptr && !flag->needs_value && flag->value.empty() && IsTruth(word))
      return fmt::format("{} {}: {} takes no value", *(at - 1), shown, *(at - 1));
    if (flag != nullptr && !flag->needs_value && !flag->value.empty())
      return fmt::format("{} {}: expected {}={}", *(at - 1), shown, *(at - 1), flag->value);
  }
  if (!known.name.empty()) return fmt::format("'{}': nothing more is expected here ({})", shown, help);
  if (const char* answer = AnswerOf(kNoCommand, word)) return fmt::format("{}: {}", shown, answer);
  std::vector<std::string> names;
  for (const CommandInfo& other : table) {
    if (!other.name.empty() && other.name.find(' ') == std::string::npos) names.push_back(other.name);
  }
  if (const std::string nearest = Nearest(word, names); !nearest.empty())
    return fmt::format("'{}' is not a command; the nearest is `{}` (--help lists the commands)", shown,
                       nearest);
  std::error_code none;
  if (std::filesystem::exists(word, none))
    return fmt::format("'{}' is not a command; a model is named with --model-path (`chat {}`)", shown, shown);
  if (word.find(' ') != std::string::npos)
    return fmt::format("'{}' is not a command; a question is asked with --prompt TEXT", shown);
  return fmt::format("'{}' is not a command (--help lists the commands)", shown);
}

}  // namespace oxidized::cli
