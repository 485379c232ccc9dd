// How answers look to a client. Text comes in pieces, in the order in which the model wrote it; a streaming
// client gets each as an event, any other one the sum of the same pieces. One file an API: chat_writer.cc,
// completion_writer.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/request.h"
#include "server/prepared.h"

namespace oxidized::server {

struct Piece {
  enum class Kind : uint8_t { kReasoning, kContent, kCall, kArguments };
  Kind kind;
  std::string text;          // of kCall the name of the function
  int32_t call = 0;          // of kCall and kArguments: which call of this answer
  std::string call_id = {};  // of kCall
};

// Log-probabilities of one token of the content, raw: before temperature and all that follows.
struct TokenChoice {
  std::string bytes = {};
  double logprob = 0.0;
};
struct ScoredToken : TokenChoice {
  std::vector<TokenChoice> top;
};

enum class FinishReason : uint8_t { kStop, kLength, kToolCalls };
std::string_view Name(FinishReason reason);  // "stop", "length", "tool_calls"

struct Usage {
  int64_t prompt_tokens = 0, cached_tokens = 0, completion_tokens = 0, reasoning_tokens = 0;
};

class AnswerWriter {
 public:
  virtual ~AnswerWriter() = default;

  // What came of answer `index` since the last call. Either list may be empty, not both.
  virtual void Add(size_t index, std::span<const Piece> pieces, std::span<const ScoredToken> tokens) = 0;
  virtual void Finish(size_t index, FinishReason reason) = 0;
  // After the last Finish. What is to be sent then: of a stream the rest of it, else the whole body.
  virtual std::string End(const Usage& usage) = 0;
  // Of a stream: what is to be sent now, and is forgotten here.
  std::string TakeEvents() { return std::exchange(events_, {}); }

 protected:
  void Event(std::string_view json) {
    events_ += "data: ";
    events_ += json;
    events_ += "\n\n";
  }

  // The rest of a stream: what waits, a last chunk of the usage if there is one, and the end. `head`: how
  // every chunk begins.
  std::string EndStream(const std::string& head, const Usage* usage);

  std::string events_;
};

inline constexpr std::string_view kDone = "data: [DONE]\n\n";

// `model`: the name that answers carry.
std::unique_ptr<AnswerWriter> MakeChatWriter(const PreparedRequest& request, std::string model);
std::unique_ptr<AnswerWriter> MakeCompletionWriter(const PreparedRequest& request, std::string model);

// "usage": the object.
void WriteUsage(const Usage& usage, std::string& out);

}  // namespace oxidized::server
