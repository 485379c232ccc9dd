// What the openai-harmony package made of generated conversations, schemas and streams
// (tools/harmony_golden.py): the same texts, ids and messages here. Runs in the repository's root.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "harmony/conversation_json.h"
#include "harmony/json_text.h"
#include "harmony/parser.h"
#include "harmony/render.h"
#include "harmony/testing/test_vocabularies.h"
#include "harmony/typescript.h"

namespace oxidized {
namespace {

std::vector<OrderedJson> Lines(const std::string& file) {
  std::vector<OrderedJson> lines;
  std::ifstream stream("tests/golden/harmony/" + file);
  for (std::string line; std::getline(stream, line);) lines.push_back(OrderedJson::parse(line));
  return lines;
}

uint64_t Fnv1a64(std::span<const int32_t> ids) {
  uint64_t digest = 0xCBF29CE484222325u;
  for (const int32_t id : ids) {
    for (int shift = 0; shift < 32; shift += 8) {
      digest = (digest ^ (static_cast<uint32_t>(id) >> shift & 0xFF)) * 0x100000001B3u;
    }
  }
  return digest;
}

struct RenderCase {
  Conversation conversation;
  RenderOptions options;
  std::string form, text, digest;
  size_t count;
};

std::vector<RenderCase> RenderCases() {
  std::vector<RenderCase> cases;
  for (const OrderedJson& line : Lines("render.jsonl")) {
    cases.push_back({.conversation = ParseConversationJson(line["conversation"].dump(), "golden"),
                     .options = {.drop = ParseDropRule(line["drop"].get<std::string>()).value()},
                     .form = line["form"],
                     .text = line["text"],
                     .digest = line["digest"],
                     .count = line["count"]});
  }
  return cases;
}

std::vector<int32_t> Render(const RenderCase& golden, const TestVocabulary& v) {
  if (golden.form == "completion") {
    return RenderForCompletion(golden.conversation, Role::kAssistant, v.tokenizer, v.tokens, golden.options);
  }
  if (golden.form == "training") {
    return RenderForTraining(golden.conversation, v.tokenizer, v.tokens, golden.options);
  }
  return RenderConversation(golden.conversation, v.tokenizer, v.tokens, golden.options);
}

TEST(HarmonyGolden, RendersTheSameText) {
  const auto cases = RenderCases();
  ASSERT_GE(cases.size(), 500u);
  for (size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE(i);
    const RenderCase& golden = cases[i];
    if (golden.form != "training") {
      const auto next = golden.form == "completion" ? std::optional(Role::kAssistant) : std::nullopt;
      ASSERT_EQ(RenderText(golden.conversation, next, golden.options), golden.text);
    }
    const TestVocabulary& v = ByteVocabulary();
    ASSERT_EQ(ToText(Render(golden, v), v.tokenizer), golden.text);
  }
}

TEST(HarmonyGolden, RendersTheSameIds) {
  const TestVocabulary& v = PublishedVocabulary();
  const auto cases = RenderCases();
  for (size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE(i);
    const std::vector<int32_t> ids = Render(cases[i], v);
    ASSERT_EQ(ToText(ids, v.tokenizer), cases[i].text);
    ASSERT_EQ(ids.size(), cases[i].count);
    ASSERT_EQ(fmt::format("{:016x}", Fnv1a64(ids)), cases[i].digest);
  }
}

TEST(HarmonyGolden, SchemasGiveTheSameTypeScript) {
  std::ifstream stream("tests/golden/harmony/schemas.jsonl");
  int count = 0;
  for (std::string line; std::getline(stream, line); ++count) {
    // The schema as it stands in the file: a reader of ours in between could hide a difference.
    const size_t end = line.rfind(",\"typescript\":");
    const std::string schema = line.substr(10, end - 10);
    ASSERT_EQ(TypeScriptOf(schema, "golden"), OrderedJson::parse(line)["typescript"].get<std::string>())
        << "line " << count << ": " << schema;
  }
  EXPECT_GE(count, 700);
}

TEST(HarmonyGolden, ParsesTheSameMessages) {
  const auto lines = Lines("parse.jsonl");
  ASSERT_GE(lines.size(), 300u);
  for (const TestVocabulary* v : AllVocabularies()) {
    for (size_t i = 0; i < lines.size(); ++i) {
      SCOPED_TRACE(i);
      const std::string stream = lines[i]["stream"];
      const auto role =
          lines[i]["role"].is_null() ? std::nullopt : ParseRole(lines[i]["role"].get<std::string>());
      StreamParser parser(v->tokens, v->tokenizer, role);
      for (const int32_t id : v->tokenizer.EncodeWithSpecials(stream)) parser.Push(id);
      parser.Finish();
      const Conversation expected =
          ParseConversationJson(OrderedJson{{"messages", lines[i]["messages"]}}.dump(), "golden");
      const Conversation parsed{{parser.messages().begin(), parser.messages().end()}};
      ASSERT_EQ(WriteConversationJson(parsed, 1), WriteConversationJson(expected, 1)) << stream;
    }
  }
}

TEST(HarmonyGolden, WritesConversationsAsThePackageDoes) {
  const auto lines = Lines("to_json.jsonl");
  ASSERT_GE(lines.size(), 40u);
  for (const OrderedJson& line : lines) {
    const Conversation conversation = ParseConversationJson(line.dump(), "golden");
    OrderedJson expected = line;  // no tools are the same as an empty map of them, and the map has no order
    for (OrderedJson& message : expected["messages"]) {
      for (OrderedJson& part : message["content"]) {
        if (!part.contains("tools")) continue;
        std::map<std::string, OrderedJson> sorted;
        for (const auto& [key, space] : part["tools"].items()) sorted[key] = space;
        part["tools"] = sorted;
        if (sorted.empty()) part.erase("tools");
      }
    }
    const std::string written = WriteConversationJson(conversation);
    EXPECT_EQ(OrderedJson::parse(written).dump(1), expected.dump(1));
    EXPECT_EQ(ParseConversationJson(written, "written"), conversation);
  }
}

// The format's own test data, used when the folder lies beside the repository.
class FormatTestData : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kFolder)) GTEST_SKIP() << "no folder " << kFolder;
  }
  static std::string Read(const std::string& name) {
    std::string text = ReadText(std::string(kFolder) + "/test_" + name + ".txt");
    while (text.ends_with('\n')) text.pop_back();
    return text;
  }
  static Message System(ReasoningEffort effort, std::vector<std::string> channels,
                        std::optional<std::string> date) {
    SystemContent content;
    content.reasoning_effort = effort;
    content.channel_config = ChannelConfig{std::move(channels), true};
    content.conversation_start_date = std::move(date);
    return {Role::kSystem, std::move(content)};
  }
  static Message Assistant(std::string channel, std::string text) {
    Message message(Role::kAssistant, std::move(text));
    message.channel = std::move(channel);
    return message;
  }
  // Text and ids.
  static void Expect(const std::string& name, const Conversation& conversation, bool completion = true,
                     DropRule drop = DropRule::kLibrary) {
    SCOPED_TRACE(name);
    const auto next = completion ? std::optional(Role::kAssistant) : std::nullopt;
    const std::string expected = Read(name);
    ASSERT_FALSE(expected.empty());
    EXPECT_EQ(RenderText(conversation, next, {drop}), expected);
    if (completion) {
      const TestVocabulary& v = PublishedVocabulary();
      EXPECT_EQ(RenderForCompletion(conversation, Role::kAssistant, v.tokenizer, v.tokens, {drop}),
                v.tokenizer.EncodeWithSpecials(expected));
    }
  }

  static constexpr const char* kFolder = "../shared/spec/harmony-test-data";
  const std::vector<std::string> all_{"analysis", "commentary", "final"};
  const std::vector<std::string> two_{"analysis", "final"};
};

TEST_F(FormatTestData, SimpleConversations) {
  Expect("simple_convo", {{System(ReasoningEffort::kMedium, all_, {}), {Role::kUser, "What is 2 + 2?"}}});
  const std::string question = "What is the capital of the largest country in the world?";
  for (const auto effort : {ReasoningEffort::kLow, ReasoningEffort::kMedium, ReasoningEffort::kHigh}) {
    const std::string name = "simple_convo_" + std::string(Name(effort)) + "_effort";
    DeveloperContent developer;
    developer.instructions = "Answer the user's questions like a robot.";
    Expect(name, {{System(effort, all_, {}), {Role::kDeveloper, developer}, {Role::kUser, question}}});
    Expect(name + "_no_instruction", {{System(effort, all_, {}), {Role::kUser, question}}});
  }
}

TEST_F(FormatTestData, ReasoningSystemMessages) {
  Expect("reasoning_system_message",
         {{System(ReasoningEffort::kMedium, two_, {}), {Role::kUser, "What is 2 + 2?"}}});
  Expect("reasoning_system_message_no_instruction",
         {{System(ReasoningEffort::kHigh, two_, {}),
           {Role::kUser, "What is the best place to eat candy in the world?"}}});
  Message dated = System(ReasoningEffort::kMedium, two_, "2021-01-01");
  std::get<SystemContent>(dated.content[0]).knowledge_cutoff = "2021-01";
  Expect("reasoning_system_message_with_dates", {{dated, {Role::kUser, "What is 42 * pi?"}}});
}

TEST_F(FormatTestData, BuiltInTools) {
  Message system = System(ReasoningEffort::kMedium, all_, "2025-06-28");
  Expect("no_tools", {{system}});
  auto& content = std::get<SystemContent>(system.content[0]);
  content.tools["browser"] = BrowserTool();
  Expect("browser_tool_only", {{system}});
  DeveloperContent developer;
  developer.SetFunctions(
      {{.name = "lookup_weather",
        .description = "Use this tool to lookup the weather in a given location. Call it with the "
                       "parameter 'location', can be any textual description of a location.",
        .parameters_json = R"({"type":"object","properties":{"location":{"type":"string"}},)"
                           R"("required":["location"]})"}});
  Expect("browser_and_function_tool", {{system, {Role::kDeveloper, developer}}});
  content.tools["python"] = PythonTool();
  Expect("browser_and_python_tool", {{system}});
}

TEST_F(FormatTestData, FunctionsWithParameters) {
  const std::string format =
      R"("format":{"type":"string","enum":["celsius","fahrenheit"],"default":"celsius"}})";
  DeveloperContent developer;
  developer.instructions = "Always respond in riddles";
  developer.SetFunctions(
      {{.name = "get_location", .description = "Gets the location of the user.", .parameters_json = {}},
       {.name = "get_current_weather",
        .description = "Gets the current weather in the provided location.",
        .parameters_json = R"({"type":"object","properties":{"location":{"type":"string",)"
                           R"("description":"The city and state, e.g. San Francisco, CA"},)" +
                           format + R"(,"required":["location"]})"},
       {.name = "get_multiple_weathers",
        .description = "Gets the current weather in the provided list of locations.",
        .parameters_json =
            R"({"type":"object","properties":{"locations":{"type":"array","items":{"type":"string"},)"
            R"("description":"List of city and state, e.g. [\"San Francisco, CA\", \"New York, NY\"]"},)" +
            format + R"(,"required":["locations"]})"},
       {.name = "kitchensink",
        .description = "A function with various complex schemas.",
        .parameters_json =
            R"({"description":"params object","type":"object","properties":{
            "string":{"type":"string","title":"STRING","description":"A string","examples":["hello","world"]},
            "string_nullable":{"type":"string","nullable":true,"description":"A nullable string","default":"the default"},
            "string_enum":{"type":"string","enum":["a","b","c"]},
            "oneof_string_or_number":{"oneOf":[{"type":"string","default":"default_string_in_oneof"},
              {"type":"number","description":"numbers can happen too"}],"description":"a oneof","default":20}}})"}});
  Expect("render_functions_with_parameters", {{System(ReasoningEffort::kHigh, all_, "2025-06-28"),
                                               {Role::kDeveloper, developer},
                                               {Role::kUser, "What is the weather like in SF?"}}});
}

TEST_F(FormatTestData, DropRules) {
  const Message user(Role::kUser, "What is 2 + 2?");
  const Message thought =
      Assistant("analysis", "User asks a simple question: \"What is 2 + 2?\" The answer: 4.");
  const Message answer = Assistant("final", "2 + 2 equals 4.");
  const Conversation two{{user, thought, answer, {Role::kUser, "What about 9 / 2?"}}};
  Expect("dropping_cot_by_default", two);
  Expect("dropping_cot_by_default", two, true, DropRule::kPerTurn);
  Expect("preserve_cot", two, true, DropRule::kNone);

  Message call = Assistant("commentary", R"({"location": "San Francisco"})");
  call.recipient = "functions.lookup_weather";
  call.content_type = "<|constrain|>json";
  Message result(Role::kTool, R"({"temperature": 20, "description": "sunny"})");
  result.name = "functions.lookup_weather";
  const Conversation loop{{{Role::kUser, "What is the weather in SF?"},
                           Assistant("analysis",
                                     "User asks: “What is the weather in SF?” We need to use "
                                     "lookup_weather tool."),
                           call,
                           result}};
  Expect("does_not_drop_if_ongoing_analysis", loop);
  Expect("does_not_drop_if_ongoing_analysis", loop, true, DropRule::kPerTurn);

  Expect("keep_analysis_between_finals",
         {{user,
           Assistant("analysis", "thinking 2+2"),
           Assistant("final", "4"),
           {Role::kUser, "What is 3 + 5?"},
           Assistant("analysis", "thinking 3+5"),
           Assistant("final", "8")}},
         /*completion=*/false);
}

TEST_F(FormatTestData, Streams) {
  for (const TestVocabulary* v : AllVocabularies()) {
    const auto parse = [&](const std::vector<int32_t>& ids, std::optional<Role> role) {
      StreamParser parser(v->tokens, v->tokenizer, role);
      for (const int32_t id : ids) parser.Push(id);
      parser.Finish();
      return std::vector<Message>(parser.messages().begin(), parser.messages().end());
    };
    const auto encode = [&](const std::string& name) { return v->tokenizer.EncodeWithSpecials(Read(name)); };
    const auto three = parse(encode("streamable_parser"), Role::kAssistant);
    ASSERT_EQ(three.size(), 3u);
    EXPECT_EQ(three[0].channel, "analysis");
    EXPECT_EQ(three[1].recipient, "browser.search");
    EXPECT_EQ(three[1].content_type, "code");
    EXPECT_EQ(three[2].role, Role::kTool);
    EXPECT_EQ(three[2].name, "browser.search");
    EXPECT_EQ(three[2].Text(), R"({"result": "https://openai.com/"})");
    const auto tool = parse(encode("tool_response_parsing"), std::nullopt);
    ASSERT_EQ(tool.size(), 1u);
    EXPECT_EQ(tool[0].name, "browser.search");
    EXPECT_EQ(tool[0].recipient, "assistant");
  }
  const TestVocabulary& v = PublishedVocabulary();
  for (const char* name : {"simple_reasoning_response", "simple_tool_call"}) {
    std::istringstream ids(Read(name));
    StreamParser parser(v.tokens, v.tokenizer);
    for (int32_t id; ids >> id;) parser.Push(id);
    parser.Finish();
    ASSERT_EQ(parser.messages().size(), 2u);
    EXPECT_EQ(parser.messages()[0].channel, "analysis");
    if (std::string_view(name) == "simple_reasoning_response") {
      EXPECT_EQ(parser.messages()[1].channel, "final");
      EXPECT_EQ(parser.messages()[1].Text(), "2 + 2 = 4.");
    } else {
      EXPECT_EQ(parser.messages()[1].recipient, "lookup_weather");
      EXPECT_EQ(parser.messages()[1].content_type, "code");
    }
  }
}

}  // namespace
}  // namespace oxidized
