// `logits` and `perplexity`: run given tokens through the same engine path as an answer, and keep what comes
// out.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/printable.h"
#include "cli/commands/npy_writer.h"
#include "cli/options/command.h"
#include "cli/options/token_ids.h"
#include "cli/terminal/input.h"
#include "cli/terminal/terminal.h"
#include "engine/run_request.h"

namespace oxidized::cli {
namespace {

struct LogitsOptions {
  RuntimeOptions runtime;
  std::string tokens_file;
  OutputName out;
};

struct PerplexityOptions {
  RuntimeOptions runtime;
  std::string file;
  bool tokens = false;  // the file holds ids, not text
  int64_t window = 0;   // tokens; 0: the model's context
  bool json = false;
};

// A signal ends the request; the status line shows how far it is.
RequestWatch Watched(SideStream& side, std::function<void(const PromptScore&)> on_score = {}) {
  return {.on_event =
              [&side, on_score = std::move(on_score)](const Event& event) {
                if (const auto* progress = std::get_if<PrefillProgress>(&event))
                  side.Status(fmt::format("{} of {} tokens", progress->done, progress->total));
                if (std::holds_alternative<Finished>(event)) side.Status("");
                if (const auto* score = std::get_if<PromptScore>(&event); score && on_score) on_score(*score);
              },
          .give_up = [] { return PendingSignal() != 0; }};
}

int Logits(const LogitsOptions& o) {
  const std::vector<int32_t> ids = ParseIds(ReadInput(o.tokens_file), o.tokens_file, ErrorKind::kBadFile);
  if (ids.empty()) Fail(ErrorKind::kBadFile, "{}: no token ids", o.tokens_file);
  const auto runtime = Runtime::Load(o.runtime);
  NpyWriter writer(o.out, static_cast<int64_t>(ids.size()), runtime->checkpoint().config.vocab_size);
  SideStream side(true);
  RunForLogits(
      runtime->loop(), ids, [&](int64_t, std::span<const float> logits) { writer.Row(logits); },
      Watched(side));
  if (PendingSignal() != 0) return 128 + PendingSignal();
  writer.Finish();
  return 0;
}

int Perplexity(const PerplexityOptions& o) {
  const auto runtime = Runtime::Load(o.runtime);
  const std::string text = ReadInput(o.file);
  const std::vector<int32_t> ids =
      o.tokens ? ParseIds(text, o.file, ErrorKind::kBadFile) : runtime->tokenizer().Encode(text);
  if (ids.size() < 2)
    Fail(ErrorKind::kBadFile, "{}: {}; a perplexity needs at least 2", o.file,
         Counted(std::ssize(ids), "token"));
  const auto window = static_cast<size_t>(std::min(
      o.window > 0 ? o.window : runtime->loop().info().max_context, runtime->loop().info().max_context));

  // Windows do not overlap; the first token of each is context only.
  double sum = 0.0, squares = 0.0;
  int64_t scored = 0;
  SideStream side(true);
  for (size_t begin = 0; begin + 1 < ids.size() && PendingSignal() == 0; begin += window) {
    Request request;
    request.prompt.assign(ids.begin() + static_cast<ptrdiff_t>(begin),
                          ids.begin() + static_cast<ptrdiff_t>(std::min(begin + window, ids.size())));
    request.score_prompt = true;
    RunRequest(runtime->loop(), std::move(request), Watched(side, [&](const PromptScore& score) {
                 sum -= static_cast<double>(score.logprob);
                 squares += static_cast<double>(score.logprob) * static_cast<double>(score.logprob);
                 ++scored;
               }));
  }
  if (PendingSignal() != 0) return 128 + PendingSignal();
  const double n = static_cast<double>(scored);
  const double mean = sum / n;
  const double deviation = std::sqrt(std::max(0.0, squares / n - mean * mean) / std::max(1.0, n - 1.0));
  const double perplexity = std::exp(mean);
  if (o.json) {
    const nlohmann::ordered_json json = {{"perplexity", perplexity},
                                         {"standard_error", perplexity * deviation},
                                         {"nll", mean},
                                         {"tokens", scored},
                                         {"window", window}};
    WriteAnswer(json.dump() + "\n");
  } else {
    WriteAnswer(
        fmt::format("perplexity {:.4f} +- {:.4f} over {} (mean negative log-likelihood {:.6f} nats)\n",
                    perplexity, perplexity * deviation, Counted(scored, "token"), mean));
  }
  return 0;
}

}  // namespace

Action AddLogits(Command& command) {
  auto o = std::make_shared<LogitsOptions>();
  o->runtime.text = TextParts::kNone;
  AddModelOptions(command, o->runtime);
  AddExecutorOptions(command, o->runtime);
  command.Add("--tokens", File(o->tokens_file), "File of ids separated by white space").Required();
  command.Add("--out", Output(o->out, kNpySign), "File to write").Required();
  return [o] { return Logits(*o); };
}

Action AddPerplexity(Command& command) {
  auto o = std::make_shared<PerplexityOptions>();
  AddModelOptions(command, o->runtime);
  AddExecutorOptions(command, o->runtime);
  command.AddPositional("file", Text(o->file, "FILE"), "Text file; - reads standard input").Required();
  command.AddFlag("--tokens", o->tokens, "The file holds ids separated by white space");
  command.Add("--window", Number(o->window, 2, 1 << 30), "Tokens scored together [the context]");
  command.AddFlag("--json", o->json, "As JSON");
  return [o] {
    o->runtime.text = o->tokens ? TextParts::kNone : TextParts::kTokens;
    return Perplexity(*o);
  };
}

}  // namespace oxidized::cli
