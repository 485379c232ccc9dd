#include "cli/terminal/wording.h"

#include <algorithm>
#include <cstdio>
#include <iterator>

#include "base/log.h"
#include "base/printable.h"

namespace oxidized::cli {
namespace {

struct Flag {
  Setting setting;
  const char* flag;
};
constexpr Flag kFlags[] = {
    {Setting::kActivations, "--activations"},
    {Setting::kContext, "--context"},
    {Setting::kCpuTier, "--tier"},
    {Setting::kDevice, "--device"},
    {Setting::kExpertMemory, "--expert-memory"},
    {Setting::kExpertType, "--expert-type"},
    {Setting::kInclude, "--include"},
    {Setting::kMaxTokens, "--max-tokens"},
    {Setting::kModelPath, "--model-path"},
    {Setting::kMoeTrace, "--moe-trace"},
    {Setting::kPackWeights, "--pack-weights"},
    {Setting::kPackedWeights, "--packed-weights"},
    {Setting::kPrecision, "--precision"},
    {Setting::kQuantizeExperts, "--quantize-experts"},
    {Setting::kReplace, "--force"},
    {Setting::kThreads, "--threads"},
    {Setting::kTokenizerPath, "--tokenizer-path"},
    {Setting::kUseMmap, "--use-mmap"},
};
static_assert(std::size(kFlags) + 1 == kNumSettings);

// What helps and only the program has, by what the error is about.
struct Offer {
  Setting setting;
  ErrorKind kind;
  const char* words;
};
constexpr Offer kOffers[] = {
    {Setting::kContext, ErrorKind::kContextFull, "a longer --context or a shorter prompt leaves room"},
    {Setting::kDevice, ErrorKind::kUnsupported, "`devices` lists what is here"},
    {Setting::kExpertMemory, ErrorKind::kNoMemory, "--dry-run says more"},
    {Setting::kModelPath, ErrorKind::kBadFile, "name one with --model-path"},
    {Setting::kPackedWeights, ErrorKind::kBadFile,
     "make such a file with `oxidized_gpt_oss convert MODEL FILE --format packed-dense`, or leave out "
     "--packed-weights"},
    {Setting::kTokenizerPath, ErrorKind::kBadFile,
     "name a tokenizer with --tokenizer-path (`synth --tokenizer` puts one beside random weights)"},
    {Setting::kUseMmap, ErrorKind::kNoMemory, "--dry-run says more"},
};

const char* NameOf(LogLevel level) {
  constexpr const char* kNames[] = {"info", "warning", "error"};
  return kNames[static_cast<size_t>(level)];
}

}  // namespace

std::string FlagOf(Setting setting) {
  const auto* row = std::find_if(std::begin(kFlags), std::end(kFlags),
                                 [&](const Flag& flag) { return flag.setting == setting; });
  OX_CHECK(row != std::end(kFlags));
  return row->flag;
}

std::string Told(const Error& error) {
  std::string text = error.fault().Text(FlagOf);
  for (const Offer& offer : kOffers) {
    if (offer.setting == error.setting() && offer.kind == error.kind())
      text += std::string("; ") + offer.words;
  }
  return text;
}

void ShowLog() {
  SetLogSink([](LogLevel level, const Fault& message) {
    const std::string line =
        fmt::format("oxidized_gpt_oss: {}: {}\n", NameOf(level), EscapeUnprintable(message.Text(FlagOf)));
    std::fputs(line.c_str(), stderr);  // at once: stderr has no buffer
  });
}

}  // namespace oxidized::cli
