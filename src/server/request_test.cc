// What a request's JSON becomes, and how each thing that is wrong with it is named.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "harmony/render.h"
#include "server/api_error.h"
#include "server/chat_request.h"
#include "server/fields.h"
#include "server/model_names.h"

namespace oxidized::server {
namespace {

// "status param: message" of what is thrown; "" if nothing is.
template <typename Action>
std::string Complaint(Action action) {
  try {
    action();
    return "";
  } catch (const ApiError& error) {
    return std::to_string(error.status()) + " " + error.what();
  }
}

std::string PromptOf(const std::string& body) {
  const OrderedJson json = ParseBody(body);
  PreparedRequest prepared;
  return RenderText(ReadConversation(RequestObject(json), RequestContext{}, prepared), Role::kAssistant);
}

TEST(RequestBody, IsBoundedInDepthAndMembers) {
  EXPECT_EQ(Complaint([] { ParseBody("{}"); }), "");
  EXPECT_NE(Complaint([] { ParseBody(std::string(1 << 20, '[')); }).find("nested"), std::string::npos);
  const auto with_members = [](int count) {
    std::string body = "{";
    for (int i = 0; i < count; ++i) body += fmt::format("{}\"{}\":0", i == 0 ? "" : ",", i);
    return body + "}";
  };
  EXPECT_EQ(Complaint([&] { ParseBody(with_members(1024)); }), "");
  EXPECT_NE(Complaint([&] { ParseBody(with_members(1025)); }).find("1024 members"), std::string::npos);
  // Each object has a count of its own.
  EXPECT_EQ(Complaint([&] { ParseBody("{\"a\":[" + with_members(1000) + "," + with_members(1000) + "]}"); }),
            "");
}

TEST(RequestBody, NumbersAreHeldToTheirRange) {
  const OrderedJson json =
      ParseBody(R"({"a": 5.0, "b": 18446744073709551615, "c": -7, "d": 1.5, "e": null})");
  const RequestObject request(json);
  EXPECT_EQ(request.Integer("a", 0, 9), 5);
  EXPECT_EQ(request.Integer("c", INT64_MIN, INT64_MAX), -7);
  EXPECT_EQ(request.Integer("e", 0, 9), std::nullopt);
  EXPECT_EQ(Complaint([&] { request.Integer("b", INT64_MIN, INT64_MAX); }).substr(0, 6), "400 b:");
  EXPECT_EQ(Complaint([&] { request.Integer("d", 0, 9); }).substr(0, 6), "400 d:");
  EXPECT_EQ(Complaint([&] { request.Number("c", 0, 9); }), "400 c: -7 is not from 0 to 9");
}

TEST(ChatRequest, InstructionsStandBeforeEverythingElse) {
  const std::string prompt = PromptOf(R"({"messages": [
      {"role": "user", "content": "one"}, {"role": "assistant", "content": "1", "reasoning": "hm"},
      {"role": "developer", "content": "D"}, {"role": "system", "content": [{"type": "text", "text": "S"}]},
      {"role": "user", "content": "two"}]})");
  EXPECT_NE(
      prompt.find(
          "<|start|>developer<|message|># Instructions\n\nD\n\nS<|end|><|start|>user<|message|>one<|end|>"
          "<|start|>assistant<|channel|>final<|message|>1<|end|><|start|>user<|message|>two<|end|>"
          "<|start|>assistant"),
      std::string::npos)
      << prompt;  // and the reasoning of a turn that has its answer is gone
}

TEST(ChatRequest, PreambleReasoningAndCallsKeepTheirOrder) {
  for (const char* key : {"reasoning", "reasoning_content", "thinking"}) {
    const std::string prompt = PromptOf(fmt::format(R"({{"messages": [{{"role": "user", "content": "q"}},
        {{"role": "assistant", "content": "P", "{}": "R", "tool_calls": [
          {{"id": "a", "function": {{"name": "f", "arguments": "1"}}}}, {{"id": "b", "function": {{"name": "g", "arguments": "2"}}}}]}},
        {{"role": "tool", "tool_call_id": "b", "content": "B"}}, {{"role": "tool", "tool_call_id": "a", "content": "A"}}]}})",
                                                    key));
    EXPECT_TRUE(prompt.ends_with(
        "<|start|>assistant<|channel|>analysis<|message|>R<|end|><|start|>assistant<|channel|>commentary<|"
        "message|>P<|end|>"
        "<|start|>assistant to=functions.f<|channel|>commentary <|constrain|>json<|message|>1<|call|>"
        "<|start|>assistant to=functions.g<|channel|>commentary <|constrain|>json<|message|>2<|call|>"
        "<|start|>functions.g to=assistant<|channel|>commentary<|message|>B<|end|>"
        "<|start|>functions.f to=assistant<|channel|>commentary<|message|>A<|end|><|start|>assistant"))
        << prompt;
  }
}

TEST(ChatRequest, WithoutAChoiceOfToolsNoneIsDeclared) {
  const std::string body = R"({"messages": [{"role": "user", "content": "q"}], "tool_choice": "none",
      "tools": [{"type": "function", "function": {"name": "f"}}]})";
  EXPECT_EQ(PromptOf(body).find("namespace functions"), std::string::npos);
  const OrderedJson json = ParseBody(body);
  PreparedRequest prepared;
  ReadConversation(RequestObject(json), RequestContext{}, prepared);
  EXPECT_FALSE(prepared.calls_allowed);
  EXPECT_TRUE(prepared.functions.empty());
}

TEST(ChatRequest, ARecipientCannotBeSmuggledIn) {
  for (const char* name : {"f<|message|>", "a b", "f\\n", ""}) {
    const std::string body = fmt::format(
        R"({{"messages": [{{"role": "assistant", "tool_calls": [{{"id": "a", "function": {{"name": "{}"}}}}]}}]}})",
        name);
    EXPECT_EQ(Complaint([&] { PromptOf(body); }).substr(0, 46),
              "400 messages[0].tool_calls[0].function.name: i")
        << name;
  }
}

TEST(Fields, ThePageShowsTheTable) {
  std::ifstream page("docs/server.md");
  std::stringstream text;
  text << page.rdbuf();
  std::istringstream lines(text.str());
  size_t shown = 0;
  for (std::string line; std::getline(lines, line);) {
    shown += line.starts_with("| `") &&
             (line.ends_with(" honoured |") || line.ends_with(" refused |") || line.ends_with(" ignored |"));
  }
  EXPECT_EQ(shown, FieldTable().size());
  for (const FieldRow& row : FieldTable()) {
    const std::string line =
        fmt::format("\n| `{}` | `{}` | {} |\n", row.name, PathOf(row.api), Name(row.treatment));
    EXPECT_NE(text.str().find(line), std::string::npos) << line;
  }
}

TEST(Fields, ARefusedOneMayAskForNothing) {
  for (const FieldRow& row : FieldTable()) {
    if (row.treatment != Treatment::kRefused) continue;
    const auto complaint = [&](std::string_view value) {
      const OrderedJson json = ParseBody(fmt::format("{{\"{}\": {}}}", row.name, value));
      return Complaint([&] { CheckFields(row.api, RequestObject(json)); });
    };
    EXPECT_EQ(complaint("null"), "") << row.name;
    EXPECT_EQ(complaint(row.idle.empty() ? "null" : row.idle), "") << row.name;
    EXPECT_EQ(complaint("[1]"), fmt::format("400 {}: {}", row.name, row.why));
  }
}

TEST(ModelNames, SpellingsOfOneModelAreOne) {
  const ModelNames names({}, "hf:openai/gpt-oss-20b@main:Q4_0");
  EXPECT_EQ(names.names(), std::vector<std::string>{"openai/gpt-oss-20b"});
  for (const char* name :
       {"openai/gpt-oss-20b", "gpt-oss-20b", "gpt-oss:20b", "GPT-OSS-20B", "unsloth/gpt-oss-20b"})
    EXPECT_EQ(names.Resolve(name), name);
  EXPECT_EQ(names.Resolve(""), "openai/gpt-oss-20b");
  EXPECT_EQ(Complaint([&] { names.Resolve("gpt-oss-120b"); }).substr(0, 3), "404");
  EXPECT_EQ(ModelNames({}, "models/demo/").names().front(), "demo");
  EXPECT_EQ(ModelNames({}, "a/b.gguf").names().front(), "b");
}

}  // namespace
}  // namespace oxidized::server
