#include "chat/turn.h"

#include <algorithm>

namespace oxidized {

void Turn::Show(Delta::Kind kind, std::string text) {
  if (text.empty()) return;
  if (kind == Delta::Kind::kAnswer) answer_ += text;
  if (kind == Delta::Kind::kReasoning) reasoning_ += text;
  if (!deltas_.empty() && deltas_.back().kind == kind && kind != Delta::Kind::kCallName) {
    deltas_.back().text += text;
  } else {
    deltas_.push_back({kind, std::move(text)});
  }
}

RawTurn::RawTurn(const Tokenizer& tokenizer, std::vector<int32_t> stop_tokens,
                 std::vector<std::string> stop_strings)
    : Turn(std::move(stop_strings)), tokenizer_(tokenizer), stop_tokens_(std::move(stop_tokens)) {}

TokenController::Verdict RawTurn::OnToken(int32_t token) {
  answer_began_ = true;
  const bool stops = std::find(stop_tokens_.begin(), stop_tokens_.end(), token) != stop_tokens_.end();
  if (!stops) Show(Delta::Kind::kAnswer, stops_.Push(utf8_.Push(tokenizer_.TokenBytes(token).value_or(""))));
  return {.stop = stops_.matched(), .forced = {}};
}

void RawTurn::Finish() {
  Show(Delta::Kind::kAnswer, stops_.Push(utf8_.Flush()));
  Show(Delta::Kind::kAnswer, stops_.Flush());
}

ChatTurn::ChatTurn(const Tokenizer& tokenizer, const HarmonyTokens& tokens, ChatTurnOptions options)
    : Turn(options.stop_strings),
      tokenizer_(tokenizer),
      tokens_(tokens),
      options_(std::move(options)),
      parser_(tokens_, tokenizer_) {
  // Spelled out once; whether <|end|><|start|>assistant is needed depends on the state when it is forced.
  force_final_.push_back(tokens_.channel);
  tokenizer_.Encode(kFinalChannel, force_final_);
  force_final_.push_back(tokens_.message);
}

void ChatTurn::Absorb(int32_t token) { Handle(parser_.Push(token)); }

void ChatTurn::Handle(std::span<const ParseEvent> events) {
  for (const ParseEvent& event : events) {
    const Message& message = *event.message;
    const bool call = message.recipient.has_value();
    const ChannelKind kind = KindOf(message);
    const bool reasoning = !call && kind == ChannelKind::kAnalysis;
    switch (event.kind) {
      case ParseEvent::Kind::kBegin:
        if (message.role != Role::kAssistant) runaway_ = true;
        in_analysis_message_ = reasoning;
        if (runaway_) break;
        if (call) {
          called_tool_ = true;
          Show(Delta::Kind::kCallName, *message.recipient);
        }
        if (kind == ChannelKind::kFinal && !call) answer_began_ = true;
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

TokenController::Verdict ChatTurn::OnToken(int32_t token) {
  if (in_reasoning_) ++reasoning_tokens_;
  Absorb(token);
  if (runaway_ || stops_.matched()) return {.stop = true, .forced = {}};
  const bool over = options_.max_reasoning_tokens >= 0 && reasoning_tokens_ >= options_.max_reasoning_tokens;
  if (!in_reasoning_ || !over) return {};

  // Close what is open (a message, or a header that began), then open the final channel.
  std::vector<int32_t> forced;
  if (in_analysis_message_ || parser_.open()) forced.push_back(tokens_.end);
  if (!forced.empty() || token == tokens_.end) {
    forced.push_back(tokens_.start);
    tokenizer_.Encode(Name(Role::kAssistant), forced);
  }
  if (forced.empty()) return {};  // inside a header: wait until its <|message|> decides what it is
  forced.insert(forced.end(), force_final_.begin(), force_final_.end());
  for (const int32_t id : forced) Absorb(id);
  in_reasoning_ = false;
  return {.stop = false, .forced = std::move(forced)};
}

void ChatTurn::Finish() {
  Handle(parser_.Finish());
  Show(Delta::Kind::kAnswer, stops_.Flush());
}

std::vector<int32_t> ChatStopTokens(const HarmonyTokens& tokens) {
  std::vector<int32_t> stops = {tokens.return_, tokens.call};
  if (tokens.end_of_text >= 0) stops.push_back(tokens.end_of_text);
  return stops;
}

}  // namespace oxidized
