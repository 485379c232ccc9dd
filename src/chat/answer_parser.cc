#include "chat/answer_parser.h"

#include <algorithm>

namespace oxidized {

void AnswerParser::Show(Delta::Kind kind, std::string text) {
  if (text.empty() || !keeps_text_) return;
  if (kind == Delta::Kind::kAnswer) answer_ += text;
  if (kind == Delta::Kind::kReasoning) reasoning_ += text;
  const bool opens = std::exchange(opens_, false);
  if (!opens && !deltas_.empty() && deltas_.back().kind == kind && kind != Delta::Kind::kCallName) {
    deltas_.back().text += text;
  } else {
    deltas_.push_back({kind, std::move(text), opens});
  }
}

RawAnswerParser::RawAnswerParser(const Tokenizer& tokenizer, std::vector<int32_t> stop_tokens,
                                 std::vector<std::string> stop_strings)
    : AnswerParser(std::move(stop_strings)), tokenizer_(tokenizer), stop_tokens_(std::move(stop_tokens)) {}

void RawAnswerParser::Push(int32_t token, bool) {
  answer_began_ = true;
  stopped_ = std::find(stop_tokens_.begin(), stop_tokens_.end(), token) != stop_tokens_.end();
  if (!stopped_)
    Show(Delta::Kind::kAnswer, stops_.Push(utf8_.Push(tokenizer_.TokenBytes(token).value_or(""))));
}

void RawAnswerParser::Finish() {
  Show(Delta::Kind::kAnswer, stops_.Push(utf8_.Flush()));
  Show(Delta::Kind::kAnswer, stops_.Flush());
}

ChatAnswerParser::ChatAnswerParser(const Tokenizer& tokenizer, const HarmonyTokens& tokens,
                                   std::vector<std::string> stop_strings, std::vector<std::string> functions)
    : AnswerParser(std::move(stop_strings)), parser_(tokens, tokenizer), functions_(std::move(functions)) {}

bool ChatAnswerParser::Calls(const Message& message) const {
  if (IsCall(message)) return true;
  return message.recipient && KindOf(message) != ChannelKind::kFinal &&
         std::find(functions_.begin(), functions_.end(), *message.recipient) != functions_.end();
}

void ChatAnswerParser::Push(int32_t token, bool forced) {
  if (in_reasoning_ && !forced) ++reasoning_tokens_;
  Handle(parser_.Push(token));
}

void ChatAnswerParser::Handle(std::span<const ParseEvent> events) {
  for (const ParseEvent& event : events) {
    const Message& message = *event.message;
    const bool call = Calls(message);
    const ChannelKind kind = KindOf(message);
    const bool reasoning = !call && kind == ChannelKind::kAnalysis;
    switch (event.kind) {
      case ParseEvent::Kind::kBegin:
        if (message.role != Role::kAssistant) runaway_ = true;
        in_analysis_message_ = reasoning;
        in_answer_ = !reasoning && !call && !runaway_;
        if (runaway_) break;
        OpenMessage();
        if (call) {
          called_tool_ = true;
          Show(Delta::Kind::kCallName, *message.recipient);
        }
        if (kind == ChannelKind::kFinal) answer_began_ = true;
        if (call || kind == ChannelKind::kFinal) in_reasoning_ = false;
        break;
      case ParseEvent::Kind::kDelta:
        if (runaway_) break;
        if (call) {
          Show(Delta::Kind::kCallArguments, std::string(event.delta));
        } else if (reasoning) {
          Show(Delta::Kind::kReasoning, std::string(event.delta));
        } else {
          answer_began_ = true;
          Show(Delta::Kind::kAnswer, stops_.Push(event.delta));
        }
        break;
      case ParseEvent::Kind::kEnd:
        if (!reasoning && !call && !runaway_) Show(Delta::Kind::kAnswer, stops_.Flush());
        if (reasoning) in_analysis_message_ = false;
        break;
    }
  }
}

void ChatAnswerParser::Finish() {
  Handle(parser_.Finish());
  Show(Delta::Kind::kAnswer, stops_.Flush());
}

std::vector<Message> ChatAnswerParser::Messages() const {
  std::vector<Message> messages(parser_.messages().begin(), parser_.messages().end());
  for (Message& message : messages) {
    if (!Calls(message)) message.recipient.reset();  // no tool is meant: the next prompt shall not show one
  }
  return messages;
}

std::string AnswerEnd(StopReason reason, const AnswerParser& parser) {
  if (reason == StopReason::kController && parser.stop_string_matched()) return "stop_string";
  if (reason != StopReason::kController && reason != StopReason::kStopToken) return Name(reason);
  if (parser.said_nothing()) return "no_answer";
  return parser.called_tool() ? "tool_call" : Name(StopReason::kStopToken);
}

}  // namespace oxidized
