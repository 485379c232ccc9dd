#include "harmony/parser.h"

#include <array>
#include <utility>

#include "base/error.h"
#include "harmony/header_text.h"

namespace oxidized {
namespace {

// No sensible header is longer; what is, is content. Bounds the work on a header that never ends.
constexpr int kMaxHeaderTokens = 256;

bool IsAscii(std::string_view text) {
  unsigned char bits = 0;
  for (const char c : text) bits |= static_cast<unsigned char>(c);
  return bits < 0x80;
}

bool HasMarker(std::string_view header) {
  return header.find(kChannelMarker) != std::string_view::npos ||
         header.find(kConstrainMarker) != std::string_view::npos;
}

// A repetition of the prompt's last word, or nothing at all.
bool IsOnlyRole(std::string_view header, Role role) {
  const size_t begin = header.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return true;
  return header.substr(begin, header.find_last_not_of(" \t\r\n") + 1 - begin) == Name(role);
}

}  // namespace

std::string_view Name(Terminator terminator) {
  static constexpr std::array<std::string_view, 5> kNames = {"none", "end", "return", "call", "endoftext"};
  return kNames[static_cast<size_t>(terminator)];
}

StreamParser::StreamParser(const HarmonyTokens& tokens, const Tokenizer& tokenizer, std::optional<Role> role)
    : tokens_(tokens), tokenizer_(tokenizer), role_(role.value_or(Role::kAssistant)) {}

std::span<const ParseEvent> StreamParser::Push(int32_t id) {
  event_count_ = 0;
  // Ids that the vocabulary lacks carry no text; special tokens are structure or nothing.
  if (id >= tokens_.first_special && tokenizer_.IsSpecial(id)) {
    PushMarker(id);
  } else if (const auto bytes = tokenizer_.TokenBytes(id)) {
    PushText(*bytes);
  }
  return Events();
}

std::span<const ParseEvent> StreamParser::Finish() {
  event_count_ = 0;
  if (state_ == State::kContent) EndMessage(Terminator::kNone);
  if (state_ == State::kHeader) RecoverHeader(Terminator::kNone, /*cut=*/true);
  return Events();
}

void StreamParser::PushMarker(int32_t id) {
  const auto end_with = [&](Terminator terminator) {
    if (state_ == State::kContent) EndMessage(terminator);
    if (state_ == State::kHeader) RecoverHeader(terminator, /*cut=*/false);
  };
  if (id == tokens_.start) {
    end_with(Terminator::kNone);
    state_ = State::kHeader;
    role_ = std::nullopt;
  } else if (id == tokens_.channel) {
    if (state_ == State::kContent) EndMessage(Terminator::kNone);  // <|end|><|start|>assistant is missing
    AppendHeader(kChannelMarker);
  } else if (id == tokens_.constrain) {
    if (state_ != State::kContent) AppendHeader(kConstrainMarker);
  } else if (id == tokens_.message) {
    if (state_ != State::kContent)
      BeginMessage(ParseHeader(header_, role_));  // a second one says nothing new
  } else if (id == tokens_.end) {
    end_with(Terminator::kEnd);
  } else if (id == tokens_.return_) {
    end_with(Terminator::kReturn);
  } else if (id == tokens_.call) {
    end_with(Terminator::kCall);
  } else if (id == tokens_.end_of_text) {
    end_with(Terminator::kEndOfText);
  }
}

void StreamParser::PushText(std::string_view bytes) {
  if (state_ == State::kContent) {
    AppendContent(bytes);
    return;
  }
  AppendHeader(bytes);
  const bool is_answer = HeaderIsPlainText() && !CanBeginHeader(header_);
  if (is_answer || IsTooLongForHeader(header_, role_) || header_length_tokens_ > kMaxHeaderTokens) {
    BrokenHeader broken = SplitHeader();
    BeginMessage(std::move(broken.header));
    AppendContent(broken.content);
  }
}

void StreamParser::AppendHeader(std::string_view text) {
  state_ = State::kHeader;
  header_ += text;
  ++header_length_tokens_;
}

bool StreamParser::HeaderIsPlainText() const { return role_ && !HasMarker(header_); }

BrokenHeader StreamParser::SplitHeader() const {
  BrokenHeader broken = SplitBrokenHeader(header_, role_);
  MessageHeader& header = broken.header;
  if (!broken.names_something && header.role == Role::kAssistant) {
    header.channel = std::string(kFinalChannel);
    if (HeaderIsPlainText()) broken.content = header_;  // an answer to its first letter, even "assistant"
  }
  return broken;
}

// The header ends without <|message|>. `cut`: nothing follows, so it may be the beginning of a sound one.
void StreamParser::RecoverHeader(Terminator terminator, bool cut) {
  BrokenHeader broken = SplitHeader();
  bool says_something = !broken.content.empty();
  if (HeaderIsPlainText() && !broken.names_something) {
    says_something = !IsOnlyRole(header_, role_.value_or(Role::kAssistant));
  } else if (cut) {
    const bool may_become_type =
        broken.header.recipient || std::string_view("to=").starts_with(broken.content);
    says_something = says_something && !may_become_type && HasMarker(header_);
  } else if (terminator != Terminator::kNone) {
    says_something = says_something || broken.names_something;
  }
  if (says_something) {
    BeginMessage(std::move(broken.header));
    AppendContent(broken.content);
    EndMessage(terminator);
  } else {
    ResetHeader(State::kBetween);
  }
}

void StreamParser::ResetHeader(State next) {
  header_.clear();
  header_length_tokens_ = 0;
  state_ = next;
  role_ = Role::kAssistant;
}

void StreamParser::BeginMessage(MessageHeader header) {
  ResetHeader(State::kContent);
  Message& message = messages_.emplace_back();
  static_cast<MessageHeader&>(message) = std::move(header);
  text_ = &std::get<std::string>(message.content.emplace_back(std::string()));
  AddEvent({.kind = ParseEvent::Kind::kBegin, .message = &message, .delta = {}});
}

void StreamParser::AppendContent(std::string_view bytes) {
  if (bytes.empty()) return;
  if (utf8_holds_nothing_ && IsAscii(bytes)) {
    AddDelta(bytes);
    return;
  }
  AddDelta(utf8_.Push(bytes));
  utf8_holds_nothing_ = static_cast<unsigned char>(bytes.back()) < 0x80;
}

void StreamParser::EndMessage(Terminator terminator) {
  AddDelta(utf8_.Flush());
  utf8_holds_nothing_ = true;
  AddEvent(
      {.kind = ParseEvent::Kind::kEnd, .terminator = terminator, .message = &messages_.back(), .delta = {}});
  text_ = nullptr;
  state_ = State::kBetween;
}

void StreamParser::AddEvent(const ParseEvent& event) {
  OX_CHECK(event_count_ < kMaxEvents);
  events_[event_count_++] = event;
}

void StreamParser::AddDelta(std::string_view text) {
  if (text.empty()) return;
  delta_begin_[event_count_] = text_->size();
  *text_ += text;
  AddEvent({.kind = ParseEvent::Kind::kDelta, .message = &messages_.back(), .delta = text});
}

std::span<const ParseEvent> StreamParser::Events() {
  for (size_t i = 0; i < event_count_; ++i) {
    ParseEvent& event = events_[i];
    if (event.kind != ParseEvent::Kind::kDelta) continue;
    const std::string& text = std::get<std::string>(event.message->content.front());
    event.delta = std::string_view(text).substr(delta_begin_[i], event.delta.size());
  }
  return {events_.data(), event_count_};
}

}  // namespace oxidized
