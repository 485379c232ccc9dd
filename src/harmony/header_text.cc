#include "harmony/header_text.h"

#include <algorithm>
#include <array>
#include <vector>

#include "tokenizer/utf8_stream.h"

namespace oxidized {
namespace {

constexpr std::string_view kRecipientMark = "to=";
constexpr std::array<std::string_view, 5> kRoles = {"system", "developer", "user", "assistant", "tool"};
constexpr std::array<std::string_view, 3> kChannels = {kAnalysisChannel, kCommentaryChannel, kFinalChannel};
// What a recipient without `to=` begins with when it is the first thing that a model writes.
constexpr std::array<std::string_view, 3> kToolNames = {"functions.", "browser.", "python"};
// Content types that models write without <|constrain|>.
constexpr std::array<std::string_view, 2> kBareTypes = {"json", "code"};

template <size_t N>
bool Contains(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool IsAsciiSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r'; }

// Length of the White_Space character at the beginning of `text`, or 0.
size_t SpaceLength(std::string_view text) {
  if (text.empty()) return 0;
  if (IsAsciiSpace(text[0]) || text[0] == '\v') return 1;
  static constexpr std::array<std::string_view, 2> kTwoBytes = {"\u0085", "\u00A0"};
  static constexpr std::array<std::string_view, 17> kThreeBytes = {
      "\u1680", "\u2000", "\u2001", "\u2002", "\u2003", "\u2004", "\u2005", "\u2006", "\u2007",
      "\u2008", "\u2009", "\u200A", "\u2028", "\u2029", "\u202F", "\u205F", "\u3000"};
  if (Contains(kTwoBytes, text.substr(0, 2))) return 2;
  if (Contains(kThreeBytes, text.substr(0, 3))) return 3;
  return 0;
}

std::string_view SkipSpace(std::string_view text) {
  while (const size_t length = SpaceLength(text)) text.remove_prefix(length);
  return text;
}

// Bytes up to white space or a marker.
size_t ValueLength(std::string_view text) {
  size_t length = 0;
  while (length < text.size() && text[length] != '<' && SpaceLength(text.substr(length)) == 0) ++length;
  return length;
}

std::vector<std::string> Words(std::string_view text) {
  std::vector<std::string> words;
  for (size_t i = 0; i < text.size();) {
    if (IsAsciiSpace(text[i])) {
      ++i;
      continue;
    }
    const size_t begin = i;
    while (i < text.size() && !IsAsciiSpace(text[i])) ++i;
    words.emplace_back(text.substr(begin, i - begin));
  }
  return words;
}

// The value of a channel marker and what is left of the header behind it: `commentaryto=x` holds a recipient
// too, and a space may stand before a known name.
struct ChannelValue {
  std::string_view channel;    // empty: none
  std::string_view recipient;  // `to=…` that was glued to it
  size_t length;               // bytes taken
};

ChannelValue ReadChannel(std::string_view text) {
  const std::string_view trimmed = SkipSpace(text);
  const size_t skipped = text.size() - trimmed.size();
  const std::string_view value = trimmed.substr(0, ValueLength(trimmed));
  if (skipped > 0) {
    return Contains(kChannels, value) ? ChannelValue{value, {}, skipped + value.size()}
                                      : ChannelValue{{}, {}, 0};
  }
  if (value.starts_with(kRecipientMark)) return {{}, value, value.size()};
  for (const std::string_view name : kChannels) {
    if (value.starts_with(name) && value.substr(name.size()).starts_with(kRecipientMark)) {
      return {name, value.substr(name.size()), value.size()};
    }
  }
  return {value, {}, value.size()};
}

// Cuts all channel markers with their values out of the header; the last channel named is the message's.
std::optional<std::string> TakeChannel(std::string& text) {
  std::optional<std::string> channel;
  for (size_t at; (at = text.find(kChannelMarker)) != std::string::npos;) {
    const ChannelValue value = ReadChannel(std::string_view(text).substr(at + kChannelMarker.size()));
    if (!value.channel.empty()) channel = std::string(value.channel);
    std::string rest = text.substr(0, at);
    if (!value.recipient.empty()) (rest += ' ') += value.recipient;
    rest += std::string_view(text).substr(at + kChannelMarker.size() + value.length);
    text = std::move(rest);
  }
  return channel;
}

// The header's words: a glued type gets one of its own, a detached one its marker.
std::vector<std::string> WordsWithTypes(const std::string& text) {
  std::string spaced;
  for (size_t at = 0; at < text.size();) {
    if (std::string_view(text).substr(at).starts_with(kConstrainMarker)) {
      (spaced += ' ') += kConstrainMarker;
      at += kConstrainMarker.size();
    } else {
      spaced += text[at++];
    }
  }
  std::vector<std::string> words;
  for (std::string& word : Words(spaced)) {
    const bool joins = !words.empty() && (words.back() == kConstrainMarker || words.back() == kRecipientMark);
    if (joins && words.back() == word) continue;
    // A marker said twice says nothing new.
    if (word == kConstrainMarker && !words.empty() && words.back().starts_with(kConstrainMarker)) continue;
    if (joins && words.back() == kConstrainMarker && word.starts_with(kConstrainMarker)) {
      words.back() = std::move(word);
    } else if (joins) {
      words.back() += word;
    } else {
      words.push_back(std::move(word));
    }
  }
  // Of several recipients the last one counts.
  const auto is_recipient = [](const std::string& word) { return word.starts_with(kRecipientMark); };
  for (auto count = std::count_if(words.begin(), words.end(), is_recipient); count > 1; --count) {
    words.erase(std::find_if(words.begin(), words.end(), is_recipient));
  }
  return words;
}

// The role's word may be glued to what follows it: `assistantto=x`, `assistantfinal`.
void UnglueRole(std::vector<std::string>& words) {
  if (words.empty()) return;
  for (const std::string_view role : kRoles) {
    if (!words.front().starts_with(role)) continue;
    const std::string rest = words.front().substr(role.size());
    if (!rest.starts_with(kRecipientMark) && !Contains(kChannels, rest)) continue;
    words.front() = role;
    words.insert(words.begin() + 1, rest);
    return;
  }
}

// Role and name from the first word of a header that has to name them; takes the word away.
void TakeAuthor(std::vector<std::string>& words, MessageHeader& header) {
  header.role = Role::kAssistant;
  if (words.empty() || words.front().starts_with(kRecipientMark)) return;
  const std::string first = words.front();
  if (const auto role = ParseRole(first)) {
    header.role = *role;
    if (header.role == Role::kTool) header.name = first;
    words.erase(words.begin());
    return;
  }
  if (first.starts_with(kConstrainMarker) || Contains(kChannels, first)) return;
  words.erase(words.begin());
  const size_t colon = first.find(':');
  const auto role = ParseRole(std::string_view(first).substr(0, colon));
  if (words.empty() && role && *role != Role::kTool) {  // the renderer's form of an author with a name
    header.role = *role;
    header.name = first.substr(colon + 1);
    return;
  }
  header.role = Role::kTool;
  header.name = first;
}

std::string WithoutRecipientMark(const std::string& word) {
  return word.starts_with(kRecipientMark) ? word.substr(kRecipientMark.size()) : word;
}

}  // namespace

MessageHeader ParseHeader(std::string_view bytes, std::optional<Role> role) {
  std::string text = RepairUtf8(bytes);
  MessageHeader header;
  header.channel = TakeChannel(text);
  std::vector<std::string> words = WordsWithTypes(text);
  UnglueRole(words);
  if (role) {
    header.role = *role;
  } else {
    TakeAuthor(words, header);
  }
  if (!words.empty() && words.front() == Name(header.role)) words.erase(words.begin());
  if (!header.channel && !words.empty() && Contains(kChannels, words.front())) {  // its marker is missing
    header.channel = words.front();
    words.erase(words.begin());
  }
  if (words.empty()) return header;
  if (words.back().starts_with(kRecipientMark)) {
    header.recipient = WithoutRecipientMark(words.back());
  } else if (words.back().starts_with(kConstrainMarker) || words.size() > 1) {
    header.content_type = words.back();
    words.pop_back();
    if (!words.empty()) header.recipient = WithoutRecipientMark(words.back());
  } else {
    header.recipient = words.back();
  }
  if (header.recipient && header.recipient->starts_with(kConstrainMarker)) header.recipient.reset();
  return header;
}

BrokenHeader SplitBrokenHeader(std::string_view text, std::optional<Role> role) {
  BrokenHeader broken;
  MessageHeader& header = broken.header;
  header.role = role.value_or(Role::kAssistant);
  const bool has_channel = text.find(kChannelMarker) != std::string_view::npos;
  std::string_view rest = SkipSpace(text);

  const std::string_view first = rest.substr(0, ValueLength(rest));
  const std::string_view after_first = SkipSpace(rest.substr(first.size()));
  if (const auto named = ParseRole(first); named && (!role || *named == *role)) {
    header.role = *named;
    rest = after_first;
  } else if (!role && !first.empty() && !first.starts_with(kRecipientMark) &&
             (has_channel || after_first.starts_with(kRecipientMark))) {
    header.role = Role::kTool;
    header.name = RepairUtf8(first);
    rest = after_first;
  }

  for (bool taken = true; taken;) {
    taken = false;
    rest = SkipSpace(rest);
    if (rest.starts_with(kChannelMarker)) {
      const ChannelValue value = ReadChannel(rest.substr(kChannelMarker.size()));
      if (!value.channel.empty()) header.channel = RepairUtf8(value.channel);
      rest.remove_prefix(kChannelMarker.size() + value.length - value.recipient.size());
      taken = true;
    } else if (rest.starts_with(kConstrainMarker)) {
      rest = SkipSpace(rest.substr(kConstrainMarker.size()));
      const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
      const auto end = std::find_if_not(rest.begin(), rest.end(), is_letter);
      const auto length = static_cast<size_t>(end - rest.begin());
      if (length > 0) header.content_type = std::string(kConstrainMarker) += rest.substr(0, length);
      rest.remove_prefix(length);
      taken = true;
    } else if (rest.starts_with(kRecipientMark)) {
      rest.remove_prefix(kRecipientMark.size());
      const size_t length = ValueLength(rest);
      header.recipient = RepairUtf8(rest.substr(0, length));
      rest.remove_prefix(length);
      taken = true;
    } else if (const std::string_view type = rest.substr(0, ValueLength(rest));
               header.recipient && !header.content_type && Contains(kBareTypes, type)) {
      header.content_type = std::string(type);
      rest.remove_prefix(type.size());
      taken = true;
    }
  }
  broken.names_something = header.channel || header.recipient;
  broken.content = rest;
  for (const std::string_view marker : {kChannelMarker, kConstrainMarker}) {
    for (size_t at = 0; (at = broken.content.find(marker, at)) != std::string::npos;) {
      broken.content.erase(at, marker.size());
    }
  }
  return broken;
}

bool IsTooLongForHeader(std::string_view text, std::optional<Role> role) {
  // Cheap and usual: the longest headers have four words, "assistant to=x commentary json", and words only
  // get more when a marker splits them.
  size_t words = 0;
  bool in_word = false;
  for (const char c : text) {
    const bool begins = !IsAsciiSpace(c) && (!in_word || c == '<');
    words += begins ? 1 : 0;
    in_word = !IsAsciiSpace(c);
  }
  if (words <= 2) return false;

  std::string rest(text);
  TakeChannel(rest);
  std::vector<std::string> parts = WordsWithTypes(rest);
  UnglueRole(parts);
  MessageHeader author;
  if (!role) TakeAuthor(parts, author);
  if (!parts.empty() && parts.front() == Name(role.value_or(author.role))) parts.erase(parts.begin());
  return parts.size() > 2;
}

bool CanBeginHeader(std::string_view text) {
  std::string_view rest = SkipSpace(text);
  for (bool role_seen = false;; role_seen = true) {
    const size_t length = ValueLength(rest);
    const std::string_view word = rest.substr(0, length);
    const bool complete = length < rest.size();
    const auto begins = [&](std::string_view name) { return !complete && name.starts_with(word); };
    if (begins(kRecipientMark) || word.starts_with(kRecipientMark)) return true;
    if (std::any_of(kChannels.begin(), kChannels.end(), begins) || Contains(kChannels, word)) return true;
    if (std::any_of(kBareTypes.begin(), kBareTypes.end(), begins) || Contains(kBareTypes, word)) return true;
    if (std::any_of(kToolNames.begin(), kToolNames.end(), begins)) return true;
    if (word == "python" || word.starts_with(kToolNames[0]) || word.starts_with(kToolNames[1])) return true;
    if (role_seen) return false;
    if (std::any_of(kRoles.begin(), kRoles.end(), begins)) return true;
    const auto role =
        std::find_if(kRoles.begin(), kRoles.end(), [&](auto name) { return word.starts_with(name); });
    if (role == kRoles.end()) return false;
    rest = SkipSpace(rest.substr(role->size()));
  }
}

}  // namespace oxidized
