// The public API on the model of the repository: answers and errors as a program meets them, and the numbers
// of the engine below.
#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <thread>

#include "engine/run_request.h"
#include "model_host/runtime.h"
#include "oxidized/model.h"

namespace oxidized::v1 {
namespace {

constexpr const char* kDemo = "models/demo";

OpenOptions Options() {
  OpenOptions options;
  options.model_path = kDemo;
  options.device = "cpu";
  options.threads = 1;
  options.context = 512;
  options.kv_tokens = 2048;
  return options;
}

// Opened once: every test may ask it, as any number of callers may.
Model& Demo() {
  static Model model = Model::Open(Options());
  return model;
}

Request Ask(std::string question, double temperature = 0.0) {
  Chat chat;
  chat.messages.push_back(UserMessage(std::move(question)));
  Request request;
  request.prompt = std::move(chat);
  request.temperature = temperature;
  request.max_tokens = 200;
  return request;
}

// What `work` throws, which must be the API's Error.
template <typename Work>
Error Thrown(Work work) {
  try {
    work();
  } catch (const Error& error) {
    return error;
  }
  throw std::runtime_error("nothing was thrown");
}

template <typename Change>
Error OpeningFails(Change change) {
  OpenOptions options = Options();
  change(options);
  return Thrown([&] { Model::Open(options); });
}

// --- Opening.

TEST(ApiOpen, SaysWhatItOpened) {
  const ModelInfo info = Demo().info();
  EXPECT_EQ(info.path, kDemo);
  EXPECT_EQ(info.layers, 8);
  EXPECT_EQ(info.experts, 8);
  EXPECT_EQ(info.experts_per_token, 2);
  EXPECT_EQ(info.context, 512);
  EXPECT_GE(info.vocabulary, 2048);
  EXPECT_GT(info.load_us, 0.0);
  EXPECT_STREQ(Version(), OXIDIZED_VERSION);
}

TEST(ApiOpen, ABadPathOrOptionIsAnErrorThatNamesIt) {
  const struct {
    ErrorKind kind;
    const char* says;
    std::function<void(OpenOptions&)> change;
  } rows[] = {
      {ErrorKind::kBadFile, "no/such/model", [](OpenOptions& o) { o.model_path = "no/such/model"; }},
      {ErrorKind::kBadFile, "README.md", [](OpenOptions& o) { o.model_path = "README.md"; }},
      {ErrorKind::kBadFile, "no/tokenizer", [](OpenOptions& o) { o.tokenizer_path = "no/tokenizer"; }},
      {ErrorKind::kUsage, "model_path", [](OpenOptions& o) { o.model_path = ""; }},
      {ErrorKind::kUsage, "device: 'abacus'", [](OpenOptions& o) { o.device = "abacus"; }},
      {ErrorKind::kUsage, "precision: 'f8'", [](OpenOptions& o) { o.precision = "f8"; }},
      {ErrorKind::kUsage, "activations: 'int4'", [](OpenOptions& o) { o.activations = "int4"; }},
      {ErrorKind::kUsage, "expert_memory: 'much'", [](OpenOptions& o) { o.expert_memory = "much"; }},
      {ErrorKind::kUsage, "threads: -1", [](OpenOptions& o) { o.threads = -1; }},
      {ErrorKind::kUsage, "context: -1", [](OpenOptions& o) { o.context = -1; }},
      {ErrorKind::kUsage, "the model allows", [](OpenOptions& o) { o.context = 1 << 28; }},
      {ErrorKind::kUsage, "max_sequences: 0", [](OpenOptions& o) { o.max_sequences = 0; }},
      {ErrorKind::kUsage, "kv_tokens: -5", [](OpenOptions& o) { o.kv_tokens = -5; }},
  };
  for (const auto& row : rows) {
    const Error error = OpeningFails(row.change);
    EXPECT_EQ(error.kind(), row.kind) << error.what();
    EXPECT_NE(std::string(error.what()).find(row.says), std::string::npos) << error.what();
    EXPECT_STRNE(error.what_to_do(), "");
  }
}

TEST(ApiOpen, ProgressIsToldAndWhatItThrowsEndsTheOpening) {
  OpenOptions options = Options();
  options.use_mmap = false;  // so that there is something to do
  int told = 0;
  options.progress = [&](const Progress& progress) {
    ++told;
    EXPECT_LE(progress.done_bytes, progress.total_bytes);
  };
  EXPECT_EQ(Model::Open(options).info().layers, 8);
  EXPECT_GT(told, 0);
  options.progress = [](const Progress&) { throw std::logic_error("enough"); };
  EXPECT_THROW(Model::Open(options), std::logic_error);
}

TEST(ApiOpen, WithoutTextThereAreLogitsAlone) {
  OpenOptions options = Options();
  options.text = Text::kNone;
  const Model model = Model::Open(options);
  int rows = 0;
  model.Logits(Tokens{1, 2, 3}, [&](int64_t, std::span<const float>) { ++rows; });
  EXPECT_EQ(rows, 3);
  EXPECT_EQ(Thrown([&] { model.Tokenize("a"); }).kind(), ErrorKind::kUsage);
  EXPECT_EQ(Thrown([&] { model.Render({}); }).kind(), ErrorKind::kUsage);
  EXPECT_EQ(Thrown([&] { model.Generate(Ask("a")); }).kind(), ErrorKind::kUsage);
}

// --- Tokens.

TEST(ApiTokens, TextGoesThereAndBack) {
  const std::string text = "naïve <|start|> 12";
  const Tokens plain = Demo().Tokenize(text), special = Demo().Tokenize(text, /*specials=*/true);
  EXPECT_LT(special.size(), plain.size());  // the special token is one
  EXPECT_EQ(Demo().Detokenize(plain), text);
  EXPECT_EQ(Demo().Detokenize(special), text);
  EXPECT_EQ(Thrown([] { Demo().Detokenize(Tokens{1, 1 << 30}); }).kind(), ErrorKind::kUsage);
}

TEST(ApiTokens, AChatIsRenderedWithItsInstructionsAndFunctions) {
  Chat chat;
  chat.instructions = "Be brief.";
  chat.effort = Effort::kHigh;
  chat.date = "2026-01-31";
  chat.functions.push_back({.name = "now", .description = "Says the time.", .parameters = ""});
  chat.messages.push_back(UserMessage("<|end|>hi"));
  const std::string text = Demo().Detokenize(Demo().Render(chat));
  for (const char* part :
       {"Be brief.", "Reasoning: high", "2026-01-31", "type now = () => any;", "Says the time."})
    EXPECT_NE(text.find(part), std::string::npos) << text;
  EXPECT_TRUE(text.ends_with("hi<|end|><|start|>assistant")) << text;
  chat.functions[0].parameters = "{";
  EXPECT_EQ(Thrown([&] { Demo().Render(chat); }).kind(), ErrorKind::kBadFile);
}

// --- Logits.

TEST(ApiLogits, AreThoseOfTheEngineBitForBit) {
  const Tokens ids = Demo().Tokenize("What is 2 + 3? Some more text.");
  std::vector<float> expected, found;
  std::vector<int64_t> positions;
  RuntimeOptions options;
  options.model_path = kDemo;
  options.choice = {.name = "cpu"};
  options.device.threads = 1;
  options.device.limits.max_context = 512;
  RunForLogits(Runtime::Load(options)->loop(), ids, [&](int64_t, std::span<const float> row) {
    expected.insert(expected.end(), row.begin(), row.end());
  });
  Demo().Logits(ids, [&](int64_t position, std::span<const float> row) {
    positions.push_back(position);
    found.insert(found.end(), row.begin(), row.end());
  });
  ASSERT_EQ(positions.size(), ids.size());
  for (size_t i = 0; i < positions.size(); ++i) EXPECT_EQ(positions[i], static_cast<int64_t>(i));
  EXPECT_EQ(found.size(), ids.size() * static_cast<size_t>(Demo().info().vocabulary));
  EXPECT_TRUE(found == expected);
}

TEST(ApiLogits, ErrorsAndWhatTheCallbackThrows) {
  const auto nothing = [](int64_t, std::span<const float>) {};
  EXPECT_EQ(Thrown([&] { Demo().Logits(Tokens{}, nothing); }).kind(), ErrorKind::kUsage);
  EXPECT_EQ(Thrown([&] { Demo().Logits(Tokens{-1}, nothing); }).kind(), ErrorKind::kUsage);
  EXPECT_EQ(Thrown([&] { Demo().Logits(Tokens(600, 1), nothing); }).kind(), ErrorKind::kContextFull);
  int rows = 0;
  const auto throws = [&](int64_t, std::span<const float>) {
    ++rows;
    throw std::bad_alloc();  // the caller's own: not turned into an Error
  };
  EXPECT_THROW(Demo().Logits(Tokens{1, 2, 3}, throws), std::bad_alloc);
  EXPECT_EQ(rows, 1);
}

// --- One answer.

TEST(ApiGenerate, AnswersAndStreamsTheSameText) {
  std::string answer, reasoning;
  const Answer whole = Demo().Generate(Ask("What is 2 + 3?"), [&](const Delta& delta) {
    (delta.kind == Delta::Kind::kAnswer ? answer : reasoning) += delta.text;
    return true;
  });
  EXPECT_EQ(whole.text, "2 + 3 = 5.");
  EXPECT_EQ(answer, whole.text);
  EXPECT_EQ(reasoning, whole.reasoning);
  EXPECT_EQ(whole.end, End::kStop);
  EXPECT_STREQ(Name(whole.end), "stop");
  EXPECT_FALSE(whole.error);
  ASSERT_FALSE(whole.messages.empty());
  EXPECT_EQ(whole.messages.back().text, whole.text);
  EXPECT_EQ(whole.messages.back().channel, "final");
  EXPECT_GT(whole.tokens.size(), 5u);
  EXPECT_GT(whole.prompt_tokens, 5);
  EXPECT_GT(whole.decode_us, 0.0);
}

TEST(ApiGenerate, TheNextTurnReusesTheFirst) {
  Request request = Ask("hi! i'm Nora");
  Chat& chat = std::get<Chat>(request.prompt);
  const Answer first = Demo().Generate(request);
  chat.messages.insert(chat.messages.end(), first.messages.begin(), first.messages.end());
  chat.messages.push_back(UserMessage("What is my name?"));
  const Answer second = Demo().Generate(request);
  EXPECT_NE(second.text.find("Nora"), std::string::npos) << second.text;
  EXPECT_GT(second.reused_tokens, 0);
}

TEST(ApiGenerate, AFunctionIsCalledAndItsResultRead) {
  Request request = Ask("What's the weather in Paris?");
  Chat& chat = std::get<Chat>(request.prompt);
  chat.functions.push_back(
      {.name = "get_weather",
       .description = "Gets the weather of a city.",
       .parameters =
           R"({"type":"object","properties":{"location":{"type":"string"}},"required":["location"]})"});
  std::string name, arguments;
  const Answer call = Demo().Generate(request, [&](const Delta& delta) {
    if (delta.kind == Delta::Kind::kCallName) name += delta.text;
    if (delta.kind == Delta::Kind::kCallArguments) arguments += delta.text;
    return true;
  });
  ASSERT_EQ(call.end, End::kToolCall);
  EXPECT_EQ(name, "functions.get_weather");
  ASSERT_TRUE(call.messages.back().is_call());
  EXPECT_EQ(call.messages.back().recipient, name);
  EXPECT_EQ(call.messages.back().text, arguments);
  EXPECT_NE(arguments.find("Paris"), std::string::npos) << arguments;

  chat.messages.insert(chat.messages.end(), call.messages.begin(), call.messages.end());
  chat.messages.push_back(ToolMessage(call.messages.back(), R"({"temperature": 18, "condition": "sunny"})"));
  const Answer answer = Demo().Generate(request);
  EXPECT_NE(answer.text.find("18"), std::string::npos) << answer.text;
}

TEST(ApiGenerate, RawTextAndItsIdsGoOnAlike) {
  Request text, ids;
  Chat chat;
  chat.messages.push_back(UserMessage("What is 2 + 3?"));
  ids.prompt = Demo().Render(chat);
  text.prompt = Demo().Detokenize(std::get<Tokens>(ids.prompt));
  text.temperature = ids.temperature = 0.0;
  const Answer a = Demo().Generate(text), b = Demo().Generate(ids);
  EXPECT_EQ(a.text, b.text);
  EXPECT_NE(a.text.find("<|channel|>final<|message|>2 + 3 = 5."), std::string::npos) << a.text;
  EXPECT_TRUE(a.messages.empty());
}

TEST(ApiGenerate, LogProbabilitiesOnRequest) {
  Request request = Ask("What is 2 + 3?");
  request.top_logprobs = 2;
  for (const Token& token : Demo().Generate(request).tokens) {
    ASSERT_EQ(token.top.size(), 2u);
    EXPECT_EQ(token.top[0].id, token.id);  // greedy
    EXPECT_EQ(token.top[0].logprob, token.logprob);
    EXPECT_LE(token.logprob, 0.0f);
    EXPECT_GE(token.top[0].logprob, token.top[1].logprob);
  }
}

TEST(ApiGenerate, StopsAtATextAndAtALength) {
  Request request = Ask("What is 2 + 3?");
  request.stop = {"= 5"};
  const Answer stopped = Demo().Generate(request);
  EXPECT_EQ(stopped.end, End::kStopString);
  EXPECT_EQ(stopped.text, "2 + 3 ");
  request = Ask("What is 2 + 3?");
  request.max_tokens = 3;
  const Answer cut = Demo().Generate(request);
  EXPECT_EQ(cut.end, End::kLength);
  EXPECT_EQ(cut.tokens.size(), 3u);
  request.max_tokens = 200;
  request.max_reasoning_tokens = 0;
  const Answer unreasoned = Demo().Generate(request);
  EXPECT_TRUE(std::any_of(unreasoned.tokens.begin(), unreasoned.tokens.end(),
                          [](const Token& token) { return token.forced; }));
}

TEST(ApiGenerate, ACallbackMayEndTheAnswer) {
  int told = 0;
  const Answer answer = Demo().Generate(Ask("What is 48 * 76?"), [&](const Delta&) {
    ++told;
    return false;
  });
  EXPECT_EQ(answer.end, End::kCancelled);
  EXPECT_EQ(told, 1);
}

TEST(ApiGenerate, WhatACallbackThrowsPassesThrough) {
  const auto throws = [](const Delta&) -> bool { throw std::logic_error("mine"); };
  EXPECT_THROW(Demo().Generate(Ask("What is 48 * 76?"), throws), std::logic_error);
  EXPECT_EQ(Demo().Generate(Ask("What is 2 + 3?")).text, "2 + 3 = 5.");  // the model goes on
}

TEST(ApiGenerate, ABadRequestIsAnErrorThatNamesIt) {
  const struct {
    ErrorKind kind;
    const char* says;
    std::function<void(Request&)> change;
  } rows[] = {
      {ErrorKind::kUsage, "out of range", [](Request& r) { r.temperature = -1.0; }},
      {ErrorKind::kUsage, "out of range", [](Request& r) { r.top_p = 0.0; }},
      {ErrorKind::kUsage, "out of range", [](Request& r) { r.max_tokens = -1; }},
      {ErrorKind::kUsage, "no tokens", [](Request& r) { r.prompt = std::string(); }},
      {ErrorKind::kUsage, "outside the model's vocabulary", [](Request& r) { r.prompt = Tokens{1 << 29}; }},
      {ErrorKind::kContextFull, "the context holds 512", [](Request& r) { r.prompt = Tokens(512, 1); }},
      {ErrorKind::kUsage, "routing.strategy: 'best'", [](Request& r) { r.routing.strategy = "best"; }},
      {ErrorKind::kUsage, "routing.num_experts: 9", [](Request& r) { r.routing.num_experts = 9; }},
      {ErrorKind::kUsage, "a token uses 2 experts", [](Request& r) { r.routing.num_experts = 1; }},
      {ErrorKind::kUsage, "out of range", [](Request& r) { r.routing.capacity_factor = -1.0; }},
  };
  for (const auto& row : rows) {
    Request request = Ask("hi");
    row.change(request);
    const Error error = Thrown([&] { Demo().Generate(request); });
    EXPECT_EQ(error.kind(), row.kind) << error.what();
    EXPECT_NE(std::string(error.what()).find(row.says), std::string::npos) << error.what();
  }
}

// --- Routing.

TEST(ApiRouting, EveryTokenOfEveryLayerMakesItsChoices) {
  const Model fresh = Model::Open(Options());  // no KV of other tests: the whole prompt is computed
  const Answer answer = fresh.Generate(Ask("What is 2 + 3?"));
  ASSERT_EQ(answer.routing.prefill.size(), 8u);
  ASSERT_EQ(answer.routing.decode.size(), 8u);
  for (const LayerRouting& layer : answer.routing.prefill) {
    ASSERT_EQ(layer.counts.size(), 8u);
    EXPECT_EQ(layer.tokens, answer.prompt_tokens);
    int64_t choices = 0;
    for (const int64_t count : layer.counts) choices += count;
    EXPECT_EQ(choices, 2 * layer.tokens);
    EXPECT_GE(layer.max_over_mean, 1.0);
    EXPECT_LE(layer.evenness, 1.0);
  }
  // The last token is never computed.
  EXPECT_EQ(answer.routing.decode[0].tokens, static_cast<int64_t>(answer.tokens.size()) - 1);
}

TEST(ApiRouting, AnotherRuleIsFollowed) {
  Request request = Ask("What is 2 + 3?");
  request.routing = {.strategy = "expert1", .num_experts = 4};
  request.max_tokens = 10;
  const Answer answer = Demo().Generate(request);
  for (const LayerRouting& layer : answer.routing.decode) {
    int64_t choices = 0;
    for (const int64_t count : layer.counts) choices += count;
    EXPECT_EQ(choices, layer.tokens);
    EXPECT_EQ(layer.counts[4] + layer.counts[5] + layer.counts[6] + layer.counts[7], 0);
  }
}

// --- Many at once.

std::vector<Request> ManyQuestions() {
  std::vector<Request> requests;
  for (int i = 0; i < 12; ++i) {
    requests.push_back(Ask("What is " + std::to_string(10 + i) + " + 3?", /*temperature=*/0.7));
    requests.back().seed = static_cast<uint64_t>(i);
  }
  return requests;
}

TEST(ApiMany, AnswersAreThoseOfOneAtATime) {
  const std::vector<Request> requests = ManyQuestions();
  std::vector<std::string> streamed(requests.size());
  const std::vector<Answer> many = Demo().GenerateMany(requests, [&](size_t request, const Delta& delta) {
    if (delta.kind == Delta::Kind::kAnswer) streamed[request] += delta.text;
    return true;
  });
  ASSERT_EQ(many.size(), requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(many[i].text, Demo().Generate(requests[i]).text);
    EXPECT_EQ(many[i].text, streamed[i]);
  }
  EXPECT_TRUE(Demo().GenerateMany({}).empty());
}

TEST(ApiMany, OneThatFailsOrIsEndedLeavesTheOthers) {
  std::vector<Request> requests = ManyQuestions();
  requests[3].prompt = Tokens(600, 1);
  const std::vector<Answer> many =
      Demo().GenerateMany(requests, [&](size_t request, const Delta&) { return request != 5; });
  ASSERT_TRUE(many[3].error);
  EXPECT_EQ(many[3].error->kind(), ErrorKind::kContextFull);
  EXPECT_EQ(many[3].end, End::kError);
  EXPECT_EQ(many[5].end, End::kCancelled);
  for (const size_t other : {0, 1, 2, 4, 6, 11}) EXPECT_EQ(many[other].end, End::kStop) << other;
}

TEST(ApiMany, WhatACallbackThrowsEndsAll) {
  const auto throws = [](size_t, const Delta&) -> bool { throw std::logic_error("mine"); };
  EXPECT_THROW(Demo().GenerateMany(ManyQuestions(), throws), std::logic_error);
  EXPECT_EQ(Demo().Generate(Ask("What is 2 + 3?")).text, "2 + 3 = 5.");
}

TEST(ApiMany, AnyThreadMayAsk) {
  const std::string expected = Demo().Generate(Ask("What is 48 * 76?")).text;
  std::atomic<int> right = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] { right += Demo().Generate(Ask("What is 48 * 76?")).text == expected; });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 4);
}

// --- An answer that is being written.

TEST(ApiGeneration, NextAndPollGiveTheWholeText) {
  const std::string expected = Demo().Generate(Ask("What is 2 + 3?")).text;
  std::string next, polled;
  Generation one = Demo().Start(Ask("What is 2 + 3?")), other = Demo().Start(Ask("What is 2 + 3?"));
  while (const auto delta = one.Next()) next += delta->kind == Delta::Kind::kAnswer ? delta->text : "";
  EXPECT_TRUE(one.done());
  while (!other.done()) {
    for (const Delta& delta : other.Poll()) polled += delta.kind == Delta::Kind::kAnswer ? delta.text : "";
  }
  EXPECT_EQ(next, expected);
  EXPECT_EQ(polled, expected);
  EXPECT_EQ(one.Finish().text, expected);
}

TEST(ApiGeneration, OutlivesItsModelAndMayBeDropped) {
  Request request = Ask("What is 48 * 76?");
  std::optional<Generation> generation;
  {
    const Model model = Model::Open(Options());
    generation = model.Start(request);
    const Generation dropped = model.Start(request);
  }
  EXPECT_EQ(generation->Finish().end, End::kStop);
  generation.reset();
}

TEST(ApiGeneration, IsCancelledFromAnotherThread) {
  Request request;
  request.prompt = std::string("one two three");
  request.max_tokens = 400;
  request.temperature = 5.0;  // hardly ever ends by itself
  Generation generation = Demo().Start(request);
  std::thread other([&] { generation.Cancel(); });
  other.join();
  const End end = generation.Finish().end;
  EXPECT_TRUE(end == End::kCancelled || end == End::kStop) << Name(end);
}

}  // namespace
}  // namespace oxidized::v1
