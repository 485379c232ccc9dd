// Token ids of a completion -> messages, as a stream. Total: it has no failure. Whatever a model samples, no
// special token gets into text, a damaged header loses at most itself, and parsing goes on at the next
// marker. On well-formed streams it gives what openai-harmony's StreamableParser gives.
//
// The chat layer pushes each sampled id and forwards the events; `harmony parse` does the same with a file.
// It does not decide when to stop sampling, nor whether a recipient names a declared function.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "harmony/conversation.h"
#include "harmony/tokens.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8_stream.h"

namespace oxidized {

enum class Terminator : uint8_t {
  kNone,       // cut by Finish, or by a marker that opens the next message
  kEnd,        // <|end|>: more messages follow
  kReturn,     // <|return|>: the answer is complete
  kCall,       // <|call|>: a tool is asked for
  kEndOfText,  // <|endoftext|>
};
std::string_view Name(Terminator terminator);  // "none", "end", "return", "call", "endoftext"

struct ParseEvent {
  enum class Kind : uint8_t { kBegin, kDelta, kEnd };

  Kind kind;
  Terminator terminator = Terminator::kNone;  // of kEnd
  // The message that the event belongs to: role, channel (KindOf(*message)), recipient, … Valid as long as
  // the parser.
  const Message* message = nullptr;
  // Of kDelta: whole characters of valid UTF-8, never empty. Valid until the next call of Push or Finish.
  std::string_view delta;
};

class StreamParser {
 public:
  // `role`: of a prompt that ended with <|start|> and this role, so that the first header lacks it (the usual
  // case). nullopt: the stream begins with <|start|>. Both arguments must outlive the parser.
  StreamParser(const HarmonyTokens& tokens, const Tokenizer& tokenizer,
               std::optional<Role> role = Role::kAssistant);

  // Takes any value as id. The events are valid until the next call.
  std::span<const ParseEvent> Push(int32_t id);
  // End of the stream: an open message ends with Terminator::kNone. A header cut short is dropped, unless it
  // is longer than a header can be, or plain text.
  std::span<const ParseEvent> Finish();

  // All messages begun, each with one text part. While open() the last one is still growing.
  const std::deque<Message>& messages() const { return messages_; }
  bool open() const { return text_ != nullptr; }

 private:
  enum class State : uint8_t {
    kBetween,  // no header yet: <|start|> is expected; anything else opens a header whose role is `role_`
    kHeader,   // collecting header_
    kContent,  // *text_ grows
  };

  void PushMarker(int32_t id);
  void PushText(std::string_view bytes);
  void BeginMessage(MessageHeader header);
  void AppendContent(std::string_view bytes);
  void EndMessage(Terminator terminator);
  void CloseHeader();  // at <|message|>
  void RecoverHeader(Terminator terminator, bool stopped);
  bool HeaderIsNowContent();
  void AddDelta(std::string_view text);
  std::span<const ParseEvent> TakeEvents();

  const HarmonyTokens& tokens_;
  const Tokenizer& tokenizer_;
  State state_;
  std::optional<Role> role_;  // of the header being read, when it is known without the header naming it
  std::string header_;        // its text, markers spelled out
  int header_tokens_ = 0;
  std::deque<Message> messages_;  // stable addresses
  std::string* text_ = nullptr;   // the content of messages_.back() while open
  Utf8Stream utf8_;

  static constexpr size_t kMaxEvents = 8;  // of one call: end of one message, and a whole next one
  std::array<ParseEvent, kMaxEvents> events_;
  std::array<size_t, kMaxEvents> delta_begin_{};  // delta_ may move while events are made
  size_t event_count_ = 0;
  std::string delta_;
};

}  // namespace oxidized
