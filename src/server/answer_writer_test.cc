// A stream's events, added up as a client does it, are the whole answer: for any pieces in any order.
#include "server/answer_writer.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "server/json_writer.h"

namespace oxidized::server {
namespace {

using Json = nlohmann::json;

std::vector<Json> EventsOf(const std::string& stream) {
  std::vector<Json> events;
  for (size_t at = 0; at < stream.size();) {
    const size_t end = stream.find("\n\n", at);
    const std::string line = stream.substr(at, end - at);
    EXPECT_TRUE(line.starts_with("data: "));
    if (line != "data: [DONE]") events.push_back(Json::parse(line.substr(6)));
    at = end + 2;
  }
  return events;
}

Json Folded(const std::vector<Json>& events, size_t index) {
  Json message = {
      {"content", ""}, {"reasoning", ""}, {"tool_calls", Json::array()}, {"logprobs", Json::array()}};
  for (const Json& event : events) {
    const Json& choice = event.at("choices").at(0);
    if (choice.at("index") != index) continue;
    const Json& delta = choice.at("delta");
    for (const char* key : {"content", "reasoning"}) {
      if (delta.contains(key)) message[key] = message[key].get<std::string>() + delta[key].get<std::string>();
    }
    for (const Json& part : delta.value("tool_calls", Json::array())) {
      Json& calls = message["tool_calls"];
      if (part.contains("id"))
        calls.push_back({{"id", part["id"]}, {"name", part["function"]["name"]}, {"arguments", ""}});
      Json& call = calls.at(part["index"].get<size_t>());
      call["arguments"] =
          call["arguments"].get<std::string>() + part["function"]["arguments"].get<std::string>();
    }
    if (!choice.at("logprobs").is_null()) {
      for (const Json& token : choice["logprobs"]["content"]) message["logprobs"].push_back(token);
    }
    if (!choice.at("finish_reason").is_null()) message["finish_reason"] = choice["finish_reason"];
  }
  return message;
}

Json Whole(const Json& answer, size_t index) {
  const Json& choice = answer.at("choices").at(index);
  const Json& said = choice.at("message");
  Json message = {
      {"content", said.at("content").is_null() ? "" : said["content"]},
      {"reasoning", said.at("reasoning").is_null() ? "" : said["reasoning"]},
      {"tool_calls", Json::array()},
      {"logprobs", choice.at("logprobs").is_null() ? Json::array() : choice["logprobs"]["content"]},
      {"finish_reason", choice.at("finish_reason")}};
  for (const Json& call : said.value("tool_calls", Json::array()))
    message["tool_calls"].push_back({{"id", call["id"]},
                                     {"name", call["function"]["name"]},
                                     {"arguments", call["function"]["arguments"]}});
  return message;
}

TEST(AnswerWriter, AStreamIsTheWholeInPieces) {
  constexpr size_t kAnswers = 3;
  std::minstd_rand random(1);
  const auto chance = [&](unsigned of) { return random() % of == 0; };
  for (int round = 0; round < 200; ++round) {
    PreparedRequest request;
    request.answers.resize(kAnswers);
    request.top_logprobs = chance(2) ? 1 : -1;
    const auto whole = MakeChatWriter(request, "m");
    request.stream = true;
    const auto stream = MakeChatWriter(request, "m");
    std::string events;
    int32_t calls[kAnswers] = {};
    for (int step = 0; step < 20; ++step) {
      const size_t index = random() % kAnswers;
      std::vector<Piece> pieces;
      std::vector<ScoredToken> tokens;
      for (size_t i = random() % 3; i > 0; --i) {
        const std::string text = chance(4) ? "\"\\\n\x01é" : "word ";
        if (chance(4)) {
          pieces.push_back({Piece::Kind::kCall, "f", calls[index]++, "call_" + std::to_string(step)});
        } else if (calls[index] > 0 && chance(2)) {
          pieces.push_back({Piece::Kind::kArguments, text, calls[index] - 1});
        } else {
          pieces.push_back({chance(2) ? Piece::Kind::kReasoning : Piece::Kind::kContent, text});
        }
      }
      if (request.top_logprobs >= 0 && chance(2)) tokens.push_back({{"\xc3", -1.5}, {{"a", -0.5}}});
      if (pieces.empty() && tokens.empty()) continue;
      whole->Add(index, pieces, tokens);
      stream->Add(index, pieces, tokens);
      events += stream->TakeEvents();
    }
    for (size_t i = 0; i < kAnswers; ++i) {
      whole->Finish(i, FinishReason::kLength);
      stream->Finish(i, FinishReason::kLength);
    }
    events += stream->End({});
    const Json answer = Json::parse(whole->End({}));
    for (size_t i = 0; i < kAnswers; ++i) EXPECT_EQ(Folded(EventsOf(events), i), Whole(answer, i));
  }
}

TEST(JsonWriter, WritesWhatAReaderReads) {
  std::string out;
  JsonWriter json(out);
  json.BeginObject()
      .Key("a")
      .String("\"\\\b\n\x7f é \xff")
      .Key("b")
      .BeginArray()
      .Integer(1)
      .Null()
      .Bool(true);
  json.BeginObject().EndObject().Number(-1.0 / 0.0).Number(0.5).String(",").EndArray().EndObject();
  EXPECT_EQ(Json::parse(out), (Json{{"a", "\"\\\b\n\x7f é \xEF\xBF\xBD"},
                                    {"b", {1, nullptr, true, Json::object(), -9999.0, 0.5, ","}}}));
}

}  // namespace
}  // namespace oxidized::server
