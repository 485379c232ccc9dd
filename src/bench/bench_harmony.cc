#include "bench/bench_harmony.h"

#include <fmt/core.h>

#include <chrono>
#include <functional>
#include <iterator>
#include <string>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/rng.h"
#include "harmony/parser.h"
#include "harmony/render.h"

namespace oxidized::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kTokens = 100'000;
constexpr int kPiecesPerMessage = 60;

// About 8 tokens each.
constexpr const char* kPieces[] = {
    "The engine reads the prompt ",  "and writes its answer ",
    "in 1987, or was it 2031? ",     "x = [i * 2 for i in range(10)]\n",
    "for (int i = 0; i < n; ++i) ",  "Größe und Länge ",
    "la réponse est déjà connue ",   "это короткое предложение ",
    "答えはもう分かっています。",    "这是一个简短的句子。",
    "12,345.678 + 9.1e-3 ",          "https://example.org/a?b=c ",
    "SELECT name FROM users;\n",     "Nevertheless, we go on.\n\n",
    "- first item\n- second item\n", "\"key\": [true, null, 3.14], ",
};

std::string Prose(uint64_t seed, uint64_t message) {
  std::string text;
  for (uint64_t i = 0; i < kPiecesPerMessage; ++i)
    text += kPieces[RandomBits(seed, message, i)[0] % std::size(kPieces)];
  return text;
}

Message Spoken(Role role, std::optional<std::string_view> channel, std::string text) {
  Message message(role, std::move(text));
  if (channel) message.channel = std::string(*channel);
  return message;
}

double SecondsOf(const std::function<void()>& work) {
  const auto start = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

Conversation LongConversation(int64_t tokens, uint64_t seed) {
  Conversation conversation;
  conversation.messages.emplace_back(Role::kSystem, SystemContent{});
  DeveloperContent developer;
  developer.instructions = "Answer briefly.";
  developer.SetFunctions(
      {{.name = "look_up",
        .description = "Looks a word up.",
        .parameters_json = R"({"type":"object","properties":{"word":{"type":"string"}}})"}});
  conversation.messages.emplace_back(Role::kDeveloper, std::move(developer));
  constexpr int64_t kTokensPerMessage = 8 * kPiecesPerMessage;  // roughly
  for (uint64_t m = 0; static_cast<int64_t>(m) * kTokensPerMessage < tokens; m += 4) {
    conversation.messages.push_back(Spoken(Role::kUser, {}, Prose(seed, m)));
    conversation.messages.push_back(Spoken(Role::kAssistant, kAnalysisChannel, Prose(seed, m + 1)));
    Message call = Spoken(Role::kAssistant, kCommentaryChannel, fmt::format(R"({{"word":"w{}"}})", m));
    call.recipient = "functions.look_up";
    call.content_type = "<|constrain|>json";
    conversation.messages.push_back(std::move(call));
    Message result = Spoken(Role::kTool, kCommentaryChannel, Prose(seed, m + 2));
    result.name = "functions.look_up";
    result.recipient = "assistant";
    conversation.messages.push_back(std::move(result));
    conversation.messages.push_back(Spoken(Role::kAssistant, kFinalChannel, Prose(seed, m + 3)));
  }
  return conversation;
}

std::vector<Figure> BenchHarmony(int32_t runs, uint64_t seed) {
  const auto tokenizer = Tokenizer::BuiltIn();
  const HarmonyTokens tokens = HarmonyTokens::Resolve(*tokenizer);
  const Conversation conversation = LongConversation(kTokens, seed);
  Figure render{.test = "harmony", .subject = "render", .threads = 1, .unit = "tokens/s"}, parse = render;
  parse.subject = "parse";
  for (int32_t run = 0; run <= runs; ++run) {  // the first one warms up
    ThrowIfInterrupted();
    std::vector<int32_t> ids;
    const double rendering = SecondsOf(
        [&] { ids = RenderConversation(conversation, *tokenizer, tokens, {.drop = DropRule::kNone}); });
    size_t messages = 0;
    const double parsing = SecondsOf([&] {
      StreamParser parser(tokens, *tokenizer, std::nullopt);
      for (const int32_t id : ids) parser.Push(id);
      parser.Finish();
      messages = parser.messages().size();
    });
    OX_CHECK(messages == conversation.messages.size());
    if (run == 0) continue;
    const auto count = static_cast<double>(ids.size());
    render.rows = parse.rows = static_cast<int64_t>(ids.size());
    render.samples.push_back({.value = count / rendering, .seconds = rendering});
    parse.samples.push_back({.value = count / parsing, .seconds = parsing});
  }
  return {render, parse};
}

}  // namespace oxidized::cli
