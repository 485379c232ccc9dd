// `harmony render` and `harmony parse`: the chat format by itself, without a model.
#include "base/error.h"
#include "cli/options/command.h"
#include "cli/terminal/input.h"
#include "cli/terminal/terminal.h"
#include "harmony/string_forms.h"

namespace oxidized::cli {
namespace {

struct RenderCommandOptions {
  RuntimeOptions runtime;
  std::string file;
  bool text = false;
  std::string drop_rule = "library";
};
struct ParseCommandOptions {
  RuntimeOptions runtime;
  std::string file;
  bool stream = false;
};

const std::map<std::string, std::string> kDropRules = {
    {"library", "library"}, {"turn", "turn"}, {"none", "none"}};

int Render(const RenderCommandOptions& o) {
  const RenderOptions render{.drop = *ParseDropRule(o.drop_rule)};
  const auto tokenizer =
      o.text ? nullptr : OpenTokenizer(o.runtime.tokenizer_path, o.runtime.model_path, o.runtime.download);
  WriteAnswer(HarmonyRender(ReadInput(o.file), o.file, o.text, render, tokenizer.get()) + "\n");
  return 0;
}

int Parse(const ParseCommandOptions& o) {
  const auto tokenizer = OpenTokenizer(o.runtime.tokenizer_path, o.runtime.model_path, o.runtime.download);
  const std::vector<int32_t> ids = ParseTokenIds(ReadInput(o.file), o.file);
  if (o.stream) {
    HarmonyParseStream(ids, *tokenizer, [](std::string_view line) { WriteAnswer(std::string(line) + "\n"); });
  } else {
    WriteAnswer(HarmonyParse(ids, *tokenizer) + "\n");
  }
  return 0;
}

}  // namespace

Action AddHarmonyRender(Command& command) {
  auto o = std::make_shared<RenderCommandOptions>();
  AddTokenizerOptions(command, o->runtime);
  command
      .AddPositional("file", Text(o->file, "FILE"),
                     "Conversation in openai-harmony's JSON form; - reads standard input")
      .Required();
  command.AddFlag("--text", o->text, "Text with special tokens spelled out instead of ids");
  command.Add("--drop-rule", Choice(o->drop_rule, kDropRules),
              "Which old reasoning leaves the prompt: library (openai-harmony's rule), turn (the chat's), "
              "none [library]");
  command.AddRules({{{"--model-path", "--tokenizer-path"},
                     OptionRule::Kind::kUselessWith,
                     {"--text"},
                     "text needs no tokenizer"}});
  return [o] { return Render(*o); };
}

Action AddHarmonyParse(Command& command) {
  auto o = std::make_shared<ParseCommandOptions>();
  AddTokenizerOptions(command, o->runtime);
  command.AddPositional("file", Text(o->file, "FILE"), "Ids; - reads standard input").Required();
  command.AddFlag("--stream", o->stream, "One line of JSON for each event");
  return [o] { return Parse(*o); };
}

}  // namespace oxidized::cli
