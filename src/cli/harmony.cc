// `harmony render` and `harmony parse`: the chat format by itself, without a model.
#include "base/error.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "harmony/convert.h"

namespace oxidized::cli {
int Run(const HarmonyRenderOptions& o) {
  const RenderOptions render{.drop = *ParseDropRule(o.drop_rule)};
  const auto tokenizer = o.text ? nullptr : OpenTokenizer(o.runtime);
  WriteAnswer(HarmonyRender(ReadInput(o.file), o.file, o.text, render, tokenizer.get()) + "\n");
  return 0;
}

int Run(const HarmonyParseOptions& o) {
  const auto tokenizer = OpenTokenizer(o.runtime);
  const std::vector<int32_t> ids = ParseTokenIds(ReadInput(o.file), o.file);
  if (o.stream) {
    HarmonyParseStream(ids, *tokenizer, [](std::string_view line) { WriteAnswer(std::string(line) + "\n"); });
  } else {
    WriteAnswer(HarmonyParse(ids, *tokenizer) + "\n");
  }
  return 0;
}

}  // namespace oxidized::cli
