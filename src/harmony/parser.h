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
#include "harmony/header_text.h"
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
    kBetween,  // <|start|> is expected; anything else begins a header without it
    kHeader,   // collecting header_
    kContent,  // *text_ grows
  };

  void PushMarker(int32_t id);
  void PushText(std::string_view bytes);
  void AppendHeader(std::string_view text);
  bool HeaderIsPlainText() const;  // begun without <|start|>, no marker so far
  BrokenHeader SplitHeader() const;
  void RecoverHeader(Terminator terminator, bool cut);
  void ResetHeader(State next);
  void BeginMessage(MessageHeader header);
  void AppendContent(std::string_view bytes);
  void EndMessage(Terminator terminator);
  void AddEvent(const ParseEvent& event);
  void AddDelta(std::string_view text);
  std::span<const ParseEvent> Events();

  const HarmonyTokens& tokens_;
  const Tokenizer& tokenizer_;
  State state_ = State::kBetween;
  std::optional<Role> role_;  // of the header being read; nullopt: it names its role itself
  std::string header_;        // its text so far, markers spelled out
  int header_length_tokens_ = 0;
  std::deque<Message> messages_;  // stable addresses
  std::string* text_ = nullptr;   // content of messages_.back() while that is open
  Utf8Stream utf8_;
  bool utf8_holds_nothing_ = true;  // known for sure: ASCII may bypass utf8_

  static constexpr size_t kMaxEvents = 8;  // of one call: the end of one message and a whole next one are 6
  std::array<ParseEvent, kMaxEvents> events_;
  std::array<size_t, kMaxEvents>
      delta_begin_{};  // in the message's text, which may move until the call returns
  size_t event_count_ = 0;
};

}  // namespace oxidized
