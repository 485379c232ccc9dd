// Completions of raw prompts: chunks, or one object; both have the same shape.
#include <ctime>

#include "server/answer_writer.h"
#include "server/json_writer.h"
#include "server/random_id.h"
#include "tokenizer/utf8_stream.h"

namespace oxidized::server {
namespace {

std::string HeadOf(const std::string& model) {
  std::string head;
  JsonWriter json(head);
  json.BeginObject().Key("id").String(RandomId("cmpl-")).Key("object").String("text_completion");
  json.Key("created").Integer(std::time(nullptr)).Key("model").String(model);
  return head;
}

// Scored tokens as this API has them: a list for each thing.
struct TokenLists {
  std::string tokens, logprobs, top, offsets;  // elements, without brackets
  size_t offset = 0;                           // of the next token in the text, in characters

  void Add(std::span<const ScoredToken> scored) {
    for (const ScoredToken& token : scored) {
      const std::string text = RepairUtf8(token.bytes);
      JsonWriter(tokens).String(text);
      JsonWriter(logprobs).Number(token.logprob);
      JsonWriter(offsets).Integer(offset);
      JsonWriter others(top);
      others.BeginObject();
      for (const TokenChoice& other : token.top) others.Key(RepairUtf8(other.bytes)).Number(other.logprob);
      others.EndObject();
      for (const char byte : text) offset += (static_cast<unsigned char>(byte) & 0xC0) != 0x80;
    }
  }
  void Write(JsonWriter& json) const {
    json.BeginObject().Key("tokens").Raw("[" + tokens + "]").Key("token_logprobs").Raw("[" + logprobs + "]");
    json.Key("top_logprobs").Raw("[" + top + "]").Key("text_offset").Raw("[" + offsets + "]").EndObject();
  }
  TokenLists Rest() const { return {{}, {}, {}, {}, offset}; }
};

void WriteChoice(size_t index, std::string_view text, const TokenLists* tokens,
                 std::string_view finish_reason, JsonWriter& json) {
  json.BeginObject().Key("index").Integer(index).Key("text").String(text).Key("logprobs");
  if (tokens == nullptr) {
    json.Null();
  } else {
    tokens->Write(json);
  }
  json.Key("finish_reason");
  if (finish_reason.empty()) {
    json.Null();
  } else {
    json.String(finish_reason);
  }
  json.EndObject();
}

std::string TextOf(std::span<const Piece> pieces) {
  std::string text;
  for (const Piece& piece : pieces) text += piece.text;
  return text;
}

class CompletionStream final : public AnswerWriter {
 public:
  CompletionStream(const PreparedRequest& request, const std::string& model)
      : head_(HeadOf(model)),
        include_usage_(request.include_usage),
        scored_(request.top_logprobs >= 0),
        tokens_(request.answers.size()) {}

  void Add(size_t index, std::span<const Piece> pieces, std::span<const ScoredToken> tokens) override {
    TokenLists& lists = tokens_[index];
    lists.Add(tokens);
    Chunk(index, TextOf(pieces), scored_ ? &lists : nullptr, {});
    lists = lists.Rest();
  }

  void Finish(size_t index, FinishReason reason) override { Chunk(index, "", nullptr, Name(reason)); }

  std::string End(const Usage& usage) override { return EndStream(head_, include_usage_ ? &usage : nullptr); }

 private:
  void Chunk(size_t index, std::string_view text, const TokenLists* tokens, std::string_view finish_reason) {
    std::string chunk = head_;
    JsonWriter json(chunk);
    json.Key("choices").BeginArray();
    WriteChoice(index, text, tokens, finish_reason, json);
    json.EndArray();
    if (include_usage_) json.Key("usage").Null();
    json.EndObject();
    Event(chunk);
  }

  const std::string head_;
  const bool include_usage_, scored_;
  std::vector<TokenLists> tokens_;
};

class WholeCompletion final : public AnswerWriter {
 public:
  WholeCompletion(const PreparedRequest& request, const std::string& model)
      : out_(HeadOf(model)), scored_(request.top_logprobs >= 0), choices_(request.answers.size()) {}

  void Add(size_t index, std::span<const Piece> pieces, std::span<const ScoredToken> tokens) override {
    choices_[index].text += TextOf(pieces);
    choices_[index].tokens.Add(tokens);
  }

  void Finish(size_t index, FinishReason reason) override { choices_[index].reason = reason; }

  std::string End(const Usage& usage) override {
    JsonWriter json(out_);
    json.Key("choices").BeginArray();
    for (size_t i = 0; i < choices_.size(); ++i) {
      const Choice& choice = choices_[i];
      WriteChoice(i, choice.text, scored_ ? &choice.tokens : nullptr, Name(choice.reason), json);
    }
    json.EndArray();
    WriteUsage(usage, out_);
    json.EndObject();
    return std::move(out_);
  }

 private:
  struct Choice {
    std::string text;
    TokenLists tokens;
    FinishReason reason = FinishReason::kStop;
  };

  std::string out_;
  const bool scored_;
  std::vector<Choice> choices_;
};

}  // namespace

std::unique_ptr<AnswerWriter> MakeCompletionWriter(const PreparedRequest& request, std::string model) {
  if (request.stream) return std::make_unique<CompletionStream>(request, model);
  return std::make_unique<WholeCompletion>(request, model);
}

}  // namespace oxidized::server
