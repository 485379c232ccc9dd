// A conversation and the rules by which it may be changed between two answers: said, answered, taken back,
// shortened, replaced. Knows no terminal and no engine; what it holds is rendered by answer_request.h.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "chat/opening.h"
#include "harmony/conversation.h"

namespace oxidized {

class ChatHistory {
 public:
  explicit ChatHistory(OpeningOptions opening);

  const Conversation& conversation() const { return conversation_; }
  ReasoningEffort reasoning_effort() const { return opening_.reasoning_effort; }
  // Of the developer message; "" without one.
  std::string instructions() const;

  void Reset() { conversation_ = OpeningMessages(opening_); }
  // From the next answer on, and after a Reset too. Empty: none.
  void SetInstructions(std::string text);
  void SetReasoningEffort(ReasoningEffort effort);
  // Goes on with another conversation, and with the effort that it names.
  void Replace(Conversation conversation);

  void Say(std::string text);  // a message of the user; made UTF-8 if it is not
  void Add(std::span<const Message> answer);
  // Forgets what stands behind the last message of the user. False: there is no such message.
  bool TakeBackAnswer();
  // Forgets that message too, and gives its text; nullopt: there is none.
  std::optional<std::string> TakeBackQuestion();
  // Forgets the oldest message of the user with its answer, to make room. False: there is none.
  bool DropOldest();

 private:
  // The place of the last message of the user; end() if there is none.
  std::vector<Message>::iterator LastQuestion();

  OpeningOptions opening_;
  Conversation conversation_;
};

}  // namespace oxidized
