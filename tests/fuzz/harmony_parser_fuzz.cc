// Arbitrary ids into the Harmony stream parser: no crash, well nested events, valid UTF-8, and no marker in
// text unless the model spelled it out in ordinary letters.
//
// One byte a token: 0xF0 to 0xFF are special and unknown ids, every other byte is itself as a one-byte token
// (which leaves out the lead bytes of 4-byte characters; 0xE0 and below make all the others). The first byte
// picks the role.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "harmony/conversation_json.h"
#include "harmony/parser.h"
#include "harmony/testing/byte_tokenizer.h"

namespace {

using namespace oxidized;

void Require(bool condition) {
  if (!condition) std::abort();
}

bool HoldsMarker(std::string_view text) { return text.find("<|") != std::string_view::npos; }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto tokenizer = MakeByteTokenizer();
  static const HarmonyTokens tokens = HarmonyTokens::Resolve(*tokenizer);
  static const int32_t specials[16] = {tokens.start,     tokens.end,     tokens.message, tokens.channel,
                                       tokens.constrain, tokens.return_, tokens.call,    tokens.end_of_text,
                                       200000,           199998,         201088,         -1,
                                       INT32_MAX,        INT32_MIN,      tokens.start,   tokens.channel};
  if (size == 0) return 0;
  const std::optional<Role> roles[] = {Role::kAssistant, std::nullopt, Role::kTool, Role::kUser};
  StreamParser parser(tokens, *tokenizer, roles[data[0] % 4]);

  std::string spelled;
  std::string text;
  bool open = false;
  const auto take = [&](std::span<const ParseEvent> events) {
    for (const ParseEvent& event : events) {
      Require(open != (event.kind == ParseEvent::Kind::kBegin));
      Require(event.message == &parser.messages().back() || event.kind == ParseEvent::Kind::kEnd);
      if (event.kind == ParseEvent::Kind::kBegin) text.clear();
      text += event.delta;
      open = event.kind != ParseEvent::Kind::kEnd;
      if (!open) Require(event.message->Text() == text && RepairUtf8(text) == text);
    }
  };
  for (size_t i = 1; i < size; ++i) {
    const int32_t id = data[i] >= 0xF0 ? specials[data[i] - 0xF0] : data[i];
    if (data[i] < 0xF0) spelled += static_cast<char>(data[i]);
    take(parser.Push(id));
  }
  take(parser.Finish());
  Require(!open && !parser.open());
  for (const Message& message : parser.messages()) {
    if (!HoldsMarker(spelled)) {
      Require(!HoldsMarker(message.Text()) && !HoldsMarker(message.recipient.value_or("")) &&
              !HoldsMarker(message.channel.value_or("")) && !HoldsMarker(message.name.value_or("")));
    }
    WriteMessageJson(message);
  }
  return 0;
}
