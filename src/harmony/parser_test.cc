// The stream parser on damaged and arbitrary streams. What it makes of sound ones is compared with
// openai-harmony in harmony_golden_test.cc.
#include "harmony/parser.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "harmony/testing/parser_cases.h"
#include "harmony/testing/test_vocabularies.h"

namespace oxidized {
namespace {

// `assistant@functions.x/commentary:<|constrain|>json "text"`: one message on one line.
std::string Show(const Message& message) {
  std::string out(Name(message.role));
  if (message.name) out += "(" + *message.name + ")";
  if (message.recipient) out += "@" + *message.recipient;
  if (message.channel) out += "/" + *message.channel;
  if (message.content_type) out += ":" + *message.content_type;
  return out + " \"" + message.Text() + "\"";
}

struct Parsed {
  std::vector<Message> messages;
  std::vector<std::string> streamed;  // the same as the events gave them, with terminators
  int begun = 0;
};

// Checks on the way what holds for every stream: events are well nested, name their message, and carry text
// that is whole and valid; what they say adds up to the messages.
Parsed Parse(const TestVocabulary& v, std::span<const int32_t> ids,
             std::optional<Role> role = Role::kAssistant) {
  StreamParser parser(v.tokens, v.tokenizer, role);
  Parsed parsed;
  std::string text;
  bool open = false;
  const auto take = [&](std::span<const ParseEvent> events) {
    for (const ParseEvent& event : events) {
      EXPECT_EQ(event.message, &parser.messages()[static_cast<size_t>(parsed.begun - (open ? 1 : 0))]);
      switch (event.kind) {
        case ParseEvent::Kind::kBegin:
          EXPECT_FALSE(open);
          open = true;
          text.clear();
          ++parsed.begun;
          break;
        case ParseEvent::Kind::kDelta:
          EXPECT_TRUE(open);
          EXPECT_FALSE(event.delta.empty());
          EXPECT_EQ(RepairUtf8(event.delta), event.delta);
          text += event.delta;
          break;
        case ParseEvent::Kind::kEnd:
          EXPECT_TRUE(open);
          open = false;
          EXPECT_EQ(event.message->Text(), text);
          parsed.streamed.push_back(Show(*event.message) + " " + std::string(Name(event.terminator)));
          break;
      }
    }
    EXPECT_EQ(parser.open(), open);
  };
  for (const int32_t id : ids) take(parser.Push(id));
  take(parser.Finish());
  EXPECT_FALSE(open);
  EXPECT_TRUE(parser.Finish().empty());
  parsed.messages.assign(parser.messages().begin(), parser.messages().end());
  EXPECT_EQ(parsed.streamed.size(), parsed.messages.size());
  return parsed;
}

TEST(StreamParser, NamedCases) {
  for (const TestVocabulary* v : AllVocabularies()) {
    for (const ParserCase& c : kParserCases) {
      SCOPED_TRACE(c.name);
      EXPECT_EQ(Parse(*v, v->tokenizer.EncodeWithSpecials(c.stream), c.role).streamed, c.expected)
          << c.stream;
    }
  }
}

TEST(StreamParser, PlainTextStreamsAtOnce) {
  const TestVocabulary& v = ByteVocabulary();
  StreamParser parser(v.tokens, v.tokenizer);
  const auto events = parser.Push('H');
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].kind, ParseEvent::Kind::kBegin);
  EXPECT_EQ(KindOf(*events[0].message), ChannelKind::kFinal);
  EXPECT_EQ(events[1].delta, "H");
}

TEST(StreamParser, MissingMessageMarkerStreamsOnceItIsCertain) {
  const TestVocabulary& v = ByteVocabulary();
  StreamParser parser(v.tokens, v.tokenizer);
  std::string text;
  for (const int32_t id : v.tokenizer.EncodeWithSpecials("<|channel|>final Well then I")) {
    for (const ParseEvent& event : parser.Push(id)) text += event.delta;
  }
  EXPECT_EQ(text, "Well then I");
}

TEST(StreamParser, CharactersArriveWhole) {
  const TestVocabulary& v = ByteVocabulary();
  StreamParser parser(v.tokens, v.tokenizer);
  for (const int32_t id : v.tokenizer.EncodeWithSpecials("<|channel|>final<|message|>")) parser.Push(id);
  std::vector<std::string> deltas;
  const auto push = [&](std::string_view bytes) {
    for (const char byte : bytes) {
      for (const ParseEvent& event : parser.Push(static_cast<unsigned char>(byte)))
        deltas.emplace_back(event.delta);
    }
  };
  push("a\xF0\x9F\x92\x96\xF0\x9FHi");
  EXPECT_EQ(deltas, (std::vector<std::string>{"a", "💖", "\uFFFDH", "i"}));
  deltas.clear();
  push("\xE6\x97");
  EXPECT_TRUE(deltas.empty());
  const auto events = parser.Push(v.tokens.end);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].delta, "\uFFFD");
  EXPECT_EQ(events[1].kind, ParseEvent::Kind::kEnd);
  // Nothing of it leaks into the next message.
  for (const int32_t id : v.tokenizer.EncodeWithSpecials("<|start|>assistant<|message|>")) parser.Push(id);
  EXPECT_EQ(parser.Push('x')[0].delta, "x");
}

TEST(StreamParser, UnknownIdsAreDropped) {
  const TestVocabulary& v = ByteVocabulary();
  auto ids = v.tokenizer.EncodeWithSpecials("<|channel|>final<|message|>ab<|return|>");
  for (size_t at = 0; at <= ids.size(); ++at) {
    for (const int32_t unknown : {-1, 1000, 201089, INT32_MAX, INT32_MIN}) {
      auto damaged = ids;
      damaged.insert(damaged.begin() + static_cast<std::ptrdiff_t>(at), unknown);
      EXPECT_EQ(Parse(v, damaged).streamed, Parse(v, ids).streamed);
    }
  }
}

TEST(StreamParser, EndlessHeaderBecomesContent) {
  const TestVocabulary& v = ByteVocabulary();
  StreamParser parser(v.tokens, v.tokenizer);
  parser.Push(v.tokens.channel);
  for (int i = 0; i < 1000; ++i) parser.Push('f');
  EXPECT_TRUE(parser.open());
  StreamParser markers(v.tokens, v.tokenizer);
  for (int i = 0; i < 100000; ++i) markers.Push(i % 2 ? v.tokens.channel : v.tokens.constrain);
  EXPECT_LE(markers.Finish().size(), 3u);
}

// Random numbers for a test: a fixed sequence for each seed.
class Random {
 public:
  explicit Random(uint64_t seed) : seed_(seed) {}
  size_t Below(size_t n) { return RandomBits(seed_, 0, next_++)[0] % n; }

 private:
  uint64_t seed_, next_ = 0;
};

constexpr const char* kPieces[] = {"<|start|>",
                                   "<|end|>",
                                   "<|message|>",
                                   "<|channel|>",
                                   "<|constrain|>",
                                   "<|return|>",
                                   "<|call|>",
                                   "<|endoftext|>",
                                   "assistant",
                                   "user",
                                   "tool",
                                   "functions.f",
                                   " to=functions.f",
                                   "to=",
                                   "to",
                                   " ",
                                   "analysis",
                                   "commentary",
                                   "final",
                                   "json",
                                   " json",
                                   "Hello there",
                                   "é",
                                   "💖",
                                   "\n",
                                   "{\"a\": 1}",
                                   "python",
                                   " code",
                                   "finalto=x",
                                   "system:me"};

TEST(StreamParser, MutatedStreamsKeepTheInvariants) {
  const TestVocabulary& v = ByteVocabulary();
  for (uint64_t seed = 0; seed < 20000; ++seed) {
    Random random(seed);
    std::string stream;
    const bool mutate = seed % 2;
    if (mutate) {
      const ParserCase& base = kParserCases[random.Below(std::size(kParserCases))];
      stream = base.stream;
      for (size_t edits = 1 + random.Below(3); edits > 0; --edits) {
        const size_t at = random.Below(stream.size() + 1);
        if (random.Below(2)) {
          stream.insert(at, kPieces[random.Below(std::size(kPieces))]);
        } else {
          stream.erase(at, 1 + random.Below(11));
        }
      }
    } else {
      for (size_t n = random.Below(14); n > 0; --n) stream += kPieces[random.Below(std::size(kPieces))];
    }
    const auto ids = v.tokenizer.EncodeWithSpecials(stream);
    const Parsed parsed = Parse(v, ids, random.Below(4) ? std::optional(Role::kAssistant) : std::nullopt);
    ASSERT_FALSE(HasFailure()) << stream;
    // Text typed by the model as ordinary letters may look like a marker; a special token never becomes text.
    std::vector<int32_t> markers_only;
    for (const int32_t id : ids) {
      if (id >= v.tokens.first_special || id == 'x') markers_only.push_back(id);
    }
    for (const Message& message : Parse(v, markers_only).messages) {
      for (const auto& field :
           {message.name, message.recipient, message.channel, std::optional(message.Text())}) {
        ASSERT_EQ(field.value_or("").find("<|"), std::string::npos) << stream << "\n" << Show(message);
      }
    }
  }
}

TEST(StreamParser, RandomIdsKeepTheInvariants) {
  for (const TestVocabulary* v : AllVocabularies()) {
    const int32_t specials[] = {v->tokens.start,     v->tokens.end,     v->tokens.message, v->tokens.channel,
                                v->tokens.constrain, v->tokens.return_, v->tokens.call};
    for (uint64_t seed = 0; seed < 300; ++seed) {
      Random random(1000 + seed);
      std::vector<int32_t> ids;
      for (size_t n = 0; n < 300; ++n) {
        const size_t kind = random.Below(8);
        ids.push_back(kind == 0 ? specials[random.Below(std::size(specials))]
                      : kind == 1
                          ? static_cast<int32_t>(random.Below(1u << 31))
                          : static_cast<int32_t>(random.Below(static_cast<size_t>(v->tokens.first_special))));
      }
      Parse(*v, ids);
      ASSERT_FALSE(HasFailure()) << "seed " << seed;
    }
  }
}

// A stream cut anywhere gives a prefix of what the whole stream gives: finished messages stay as they were,
// and of the last one no letter changes.
TEST(StreamParser, CutAnywhere) {
  const TestVocabulary& v = ByteVocabulary();
  for (const ParserCase& c : kParserCases) {
    const auto ids = v.tokenizer.EncodeWithSpecials(c.stream);
    StreamParser parser(v.tokens, v.tokenizer, c.role);
    std::vector<std::string> ended;
    std::string streamed;
    for (size_t cut = 0; cut < ids.size(); ++cut) {
      const Parsed parsed = Parse(v, std::span(ids).first(cut), c.role);
      ASSERT_GE(parsed.streamed.size(), ended.size()) << c.name << " cut at " << cut;
      for (size_t i = 0; i < ended.size(); ++i) ASSERT_EQ(parsed.streamed[i], ended[i]) << c.name;
      ASSERT_LE(parsed.streamed.size(), ended.size() + 1) << c.name;
      for (const ParseEvent& event : parser.Push(ids[cut])) {
        if (event.kind == ParseEvent::Kind::kEnd) {
          ended.push_back(Show(*event.message) + " " + std::string(Name(event.terminator)));
        }
      }
    }
  }
}

TEST(ChannelKind, OfEveryHeader) {
  const auto kind = [](std::optional<std::string> channel, std::optional<std::string> recipient = {}) {
    MessageHeader header;
    header.channel = std::move(channel);
    header.recipient = std::move(recipient);
    return KindOf(header);
  };
  EXPECT_EQ(kind("analysis"), ChannelKind::kAnalysis);
  EXPECT_EQ(kind("commentary"), ChannelKind::kCommentary);
  EXPECT_EQ(kind("final"), ChannelKind::kFinal);
  EXPECT_EQ(kind("finally"), ChannelKind::kFinal);
  EXPECT_EQ(kind("thoughts"), ChannelKind::kAnalysis);
  EXPECT_EQ(kind(std::nullopt), ChannelKind::kFinal);
  EXPECT_EQ(kind(std::nullopt, "functions.f"), ChannelKind::kCommentary);
}

}  // namespace
}  // namespace oxidized
