// Chat completions: chunks, or one object.
#include <ctime>

#include "server/answer_writer.h"
#include "server/json_writer.h"
#include "server/random_id.h"
#include "tokenizer/utf8_stream.h"

namespace oxidized::server {
namespace {

// What all chunks of an answer begin with, and the whole answer too.
std::string HeadOf(std::string_view object, const std::string& model) {
  std::string head;
  JsonWriter json(head);
  json.BeginObject().Key("id").String(RandomId("chatcmpl-")).Key("object").String(object);
  json.Key("created").Integer(std::time(nullptr)).Key("model").String(model);
  return head;
}

void WriteChoice(const TokenChoice& token, JsonWriter& json) {
  json.Key("token").String(RepairUtf8(token.bytes)).Key("logprob").Number(token.logprob);
  json.Key("bytes").BeginArray();
  for (const char byte : token.bytes) json.Integer(static_cast<unsigned>(static_cast<unsigned char>(byte)));
  json.EndArray();
}

void WriteTokens(std::span<const ScoredToken> tokens, JsonWriter& json) {
  for (const ScoredToken& token : tokens) {
    json.BeginObject();
    WriteChoice(token, json);
    json.Key("top_logprobs").BeginArray();
    for (const TokenChoice& other : token.top) {
      json.BeginObject();
      WriteChoice(other, json);
      json.EndObject();
    }
    json.EndArray().EndObject();
  }
}

class ChatStream final : public AnswerWriter {
 public:
  ChatStream(const PreparedRequest& request, const std::string& model)
      : head_(HeadOf("chat.completion.chunk", model)),
        include_usage_(request.include_usage),
        began_(request.answers.size(), false) {}

  void Add(size_t index, std::span<const Piece> pieces, std::span<const ScoredToken> tokens) override {
    if (!began_[index]) {
      began_[index] = true;
      Chunk(index,
            [](JsonWriter& delta) { delta.Key("role").String("assistant").Key("content").String(""); });
    }
    for (const Piece& piece : pieces) {
      const bool scored = piece.kind == Piece::Kind::kContent && !tokens.empty();
      Chunk(
          index, [&](JsonWriter& delta) { WriteDelta(piece, delta); },
          scored ? tokens : std::span<const ScoredToken>());
      if (scored) tokens = {};
    }
    if (!tokens.empty())  // their text is held back
      Chunk(index, [](JsonWriter& delta) { delta.Key("content").String(""); }, tokens);
  }

  void Finish(size_t index, FinishReason reason) override {
    if (!began_[index]) Add(index, {}, {});
    Chunk(index, [](JsonWriter&) {}, {}, Name(reason));
  }

  std::string End(const Usage& usage) override { return EndStream(head_, include_usage_ ? &usage : nullptr); }

 private:
  static void WriteDelta(const Piece& piece, JsonWriter& delta) {
    switch (piece.kind) {
      case Piece::Kind::kReasoning:
        delta.Key("reasoning").String(piece.text);
        return;
      case Piece::Kind::kContent:
        delta.Key("content").String(piece.text);
        return;
      case Piece::Kind::kCall:
      case Piece::Kind::kArguments:
        break;
    }
    const bool begins = piece.kind == Piece::Kind::kCall;
    delta.Key("tool_calls").BeginArray().BeginObject().Key("index").Integer(piece.call);
    if (begins) delta.Key("id").String(piece.call_id).Key("type").String("function");
    delta.Key("function").BeginObject();
    if (begins) delta.Key("name").String(piece.text);
    delta.Key("arguments").String(begins ? "" : piece.text).EndObject().EndObject().EndArray();
  }

  template <typename WriteInto>
  void Chunk(size_t index, WriteInto write_delta, std::span<const ScoredToken> tokens = {},
             std::string_view finish_reason = {}) {
    std::string chunk = head_;
    JsonWriter json(chunk);
    json.Key("choices").BeginArray().BeginObject().Key("index").Integer(index).Key("delta").BeginObject();
    write_delta(json);
    json.EndObject().Key("logprobs");
    if (tokens.empty()) {
      json.Null();
    } else {
      json.BeginObject().Key("content").BeginArray();
      WriteTokens(tokens, json);
      json.EndArray().Key("refusal").Null().EndObject();
    }
    json.Key("finish_reason");
    if (finish_reason.empty()) {
      json.Null();
    } else {
      json.String(finish_reason);
    }
    json.EndObject().EndArray();
    if (include_usage_) json.Key("usage").Null();
    json.EndObject();
    Event(chunk);
  }

  const std::string head_;
  const bool include_usage_;
  std::vector<bool> began_;
};

class WholeChat final : public AnswerWriter {
 public:
  WholeChat(const PreparedRequest& request, const std::string& model)
      : out_(HeadOf("chat.completion", model)),
        scored_(request.top_logprobs >= 0),
        choices_(request.answers.size()) {}

  void Add(size_t index, std::span<const Piece> pieces, std::span<const ScoredToken> tokens) override {
    Choice& choice = choices_[index];
    for (const Piece& piece : pieces) {
      switch (piece.kind) {
        case Piece::Kind::kReasoning:
          choice.reasoning += piece.text;
          break;
        case Piece::Kind::kContent:
          choice.content += piece.text;
          break;
        case Piece::Kind::kCall:
          choice.calls.push_back({piece.call_id, piece.text, ""});
          break;
        case Piece::Kind::kArguments:
          choice.calls.back().arguments += piece.text;
          break;
      }
    }
    JsonWriter json(choice.tokens);
    WriteTokens(tokens, json);
  }

  void Finish(size_t index, FinishReason reason) override { choices_[index].reason = reason; }

  std::string End(const Usage& usage) override {
    JsonWriter json(out_);
    json.Key("choices").BeginArray();
    for (size_t i = 0; i < choices_.size(); ++i) WriteChoiceOf(i, json);
    json.EndArray();
    WriteUsage(usage, out_);
    json.EndObject();
    return std::move(out_);
  }

 private:
  struct Call {
    std::string id, name, arguments;
  };
  struct Choice {
    std::string content, reasoning, tokens;
    std::vector<Call> calls;
    FinishReason reason = FinishReason::kStop;
  };

  void WriteChoiceOf(size_t index, JsonWriter& json) const {
    const Choice& choice = choices_[index];
    json.BeginObject().Key("index").Integer(index).Key("message").BeginObject();
    json.Key("role").String("assistant").Key("content");
    if (choice.content.empty() && !choice.calls.empty()) {
      json.Null();
    } else {
      json.String(choice.content);
    }
    json.Key("reasoning");
    if (choice.reasoning.empty()) {
      json.Null();
    } else {
      json.String(choice.reasoning);
    }
    if (!choice.calls.empty()) {
      json.Key("tool_calls").BeginArray();
      for (const Call& call : choice.calls) {
        json.BeginObject()
            .Key("id")
            .String(call.id)
            .Key("type")
            .String("function")
            .Key("function")
            .BeginObject();
        json.Key("name").String(call.name).Key("arguments").String(call.arguments).EndObject().EndObject();
      }
      json.EndArray();
    }
    json.Key("refusal").Null().EndObject().Key("logprobs");
    if (scored_) {
      json.BeginObject().Key("content").Raw("[" + choice.tokens + "]").Key("refusal").Null().EndObject();
    } else {
      json.Null();
    }
    json.Key("finish_reason").String(Name(choice.reason)).EndObject();
  }

  std::string out_;
  const bool scored_;
  std::vector<Choice> choices_;
};

}  // namespace

std::unique_ptr<AnswerWriter> MakeChatWriter(const PreparedRequest& request, std::string model) {
  if (request.stream) return std::make_unique<ChatStream>(request, model);
  return std::make_unique<WholeChat>(request, model);
}

}  // namespace oxidized::server
