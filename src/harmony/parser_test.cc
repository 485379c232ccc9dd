// The stream parser on damaged and arbitrary streams. What it makes of sound ones is compared with
// openai-harmony in harmony_golden_test.cc.
#include "harmony/parser.h"

#include <gtest/gtest.h>

#include "base/rng.h"
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

struct Case {
  const char* name;
  const char* stream;
  std::vector<std::string> expected;  // with terminators
  std::optional<Role> role = Role::kAssistant;
};

// Every failure that users of other servers report, and what becomes of it here.
const Case kCases[] = {
    // Tool calls in every form.
    {"call, recommended form",
     R"(<|channel|>commentary to=functions.f <|constrain|>json<|message|>{"a":1}<|call|>)",
     {R"(assistant@functions.f/commentary:<|constrain|>json "{"a":1}" call)"}},
    {"call, recipient in the role part",
     R"( to=functions.f<|channel|>commentary <|constrain|>json<|message|>{}<|call|>)",
     {R"(assistant@functions.f/commentary:<|constrain|>json "{}" call)"}},
    {"call, bare type",
     R"( to=functions.f<|channel|>commentary json<|message|>{}<|call|>)",
     {R"(assistant@functions.f/commentary:json "{}" call)"}},
    {"call, code",
     R"(<|channel|>analysis to=browser.search code<|message|>{}<|call|>)",
     {R"(assistant@browser.search/analysis:code "{}" call)"}},
    {"call, no type",
     R"(<|channel|>commentary to=functions.f<|message|>{}<|call|>)",
     {R"(assistant@functions.f/commentary "{}" call)"}},
    {"call, type glued to the recipient",
     R"(<|channel|>commentary to=functions.f<|constrain|>json<|message|>{}<|call|>)",
     {R"(assistant@functions.f/commentary:<|constrain|>json "{}" call)"}},
    {"call, type apart from its marker",
     R"(<|channel|>commentary to=functions.f <|constrain|> json<|message|>{}<|call|>)",
     {R"(assistant@functions.f/commentary:<|constrain|>json "{}" call)"}},
    {"call, recipient glued to the channel",
     R"(<|channel|>commentaryto=functions.f json<|message|>{}<|call|>)",
     {R"(assistant@functions.f/commentary:json "{}" call)"}},
    {"call, recipient glued to the role",
     R"(<|start|>assistantto=functions.f<|channel|>commentary<|message|>{}<|call|>)",
     {R"(assistant@functions.f/commentary "{}" call)"}},
    {"call, recipient apart from its to=",
     R"(<|channel|>commentary to= functions.f<|message|>{}<|call|>)",
     {R"(assistant@functions.f/commentary "{}" call)"}},
    {"call, wrong channel",
     R"(<|channel|>analysis to=functions.f json<|message|>{}<|call|>)",
     {R"(assistant@functions.f/analysis:json "{}" call)"}},
    {"call, no namespace",
     R"(<|channel|>commentary to=get_weather json<|message|>{}<|call|>)",
     {R"(assistant@get_weather/commentary:json "{}" call)"}},
    {"call, recipient in place of the channel",
     R"(<|channel|>to=functions.f<|message|>{}<|call|>)",
     {R"(assistant@functions.f "{}" call)"}},
    {"call, role repeated and no channel",
     R"(assistant to=functions.f json<|message|>{}<|call|>)",
     {R"(assistant@functions.f:json "{}" call)"}},
    {"call, two recipients: the last",
     R"( to=functions.f<|channel|>commentary to=functions.g json<|message|>{}<|call|>)",
     {R"(assistant@functions.g/commentary:json "{}" call)"}},
    {"final with a type is no call",
     R"(<|channel|>final <|constrain|>json<|message|>{}<|return|>)",
     {R"(assistant/final:<|constrain|>json "{}" return)"}},
    // Duplicated markers.
    {"channel marker twice",
     "<|channel|><|channel|>final<|message|>Hi<|return|>",
     {"assistant/final \"Hi\" return"}},
    {"channel named twice: the last",
     "<|channel|>analysis<|channel|>final<|message|>Hi<|return|>",
     {"assistant/final \"Hi\" return"}},
    {"channel again behind the recipient",
     "<|channel|>analysis to=functions.f<|channel|>commentary json<|message|>{}<|call|>",
     {"assistant@functions.f/commentary:json \"{}\" call"}},
    {"message marker twice",
     "<|channel|>final<|message|><|message|>Hi<|return|>",
     {"assistant/final \"Hi\" return"}},
    {"message marker inside content",
     "<|channel|>final<|message|>a<|message|>b<|return|>",
     {"assistant/final \"ab\" return"}},
    {"start marker twice",
     "<|start|><|start|>assistant<|channel|>final<|message|>Hi<|return|>",
     {"assistant/final \"Hi\" return"}},
    {"role repeated", "assistant<|channel|>final<|message|>Hi<|return|>", {"assistant/final \"Hi\" return"}},
    {"terminator twice",
     "<|channel|>analysis<|message|>a<|end|><|end|><|start|>assistant<|channel|>final<|message|>b"
     "<|return|><|return|>",
     {"assistant/analysis \"a\" end", "assistant/final \"b\" return"}},
    // Missing markers.
    {"no message marker",
     "<|channel|>final Hello there, my friend<|return|>",
     {"assistant/final \"Hello there, my friend\" return"}},
    {"no message marker, one word",
     "<|channel|>commentary Hello<|end|>",
     {"assistant/commentary \"Hello\" end"}},
    {"no message marker in a call",
     R"(<|channel|>commentary to=functions.f <|constrain|>json{"a": 1}<|call|>)",
     {R"(assistant@functions.f/commentary:<|constrain|>json "{"a": 1}" call)"}},
    {"no message marker, next message follows",
     "<|channel|>analysis hm hm<|start|>assistant<|channel|>final<|message|>b<|return|>",
     {"assistant/analysis \"hm hm\" none", "assistant/final \"b\" return"}},
    {"no channel marker", "final<|message|>Hi<|return|>", {"assistant/final \"Hi\" return"}},
    {"no channel marker, glued to the role",
     "<|start|>assistantfinal<|message|>Hi<|return|>",
     {"assistant/final \"Hi\" return"}},
    {"space before the channel's name",
     "<|channel|> final<|message|>Hi<|return|>",
     {"assistant/final \"Hi\" return"}},
    {"no channel", "<|message|>Hi<|return|>", {"assistant \"Hi\" return"}},
    {"no role", "<|start|><|channel|>final<|message|>Hi<|end|>", {"assistant/final \"Hi\" end"}},
    {"no role before a recipient",
     "<|start|> to=functions.f<|channel|>commentary json<|message|>{}<|call|>",
     {"assistant@functions.f/commentary:json \"{}\" call"}},
    {"no start marker",
     "<|channel|>analysis<|message|>a<|end|>assistant<|channel|>final<|message|>b<|return|>",
     {"assistant/analysis \"a\" end", "assistant/final \"b\" return"}},
    {"neither end nor start",
     "<|channel|>analysis<|message|>a<|channel|>final<|message|>b<|return|>",
     {"assistant/analysis \"a\" none", "assistant/final \"b\" return"}},
    {"no end",
     "<|channel|>analysis<|message|>a<|start|>assistant<|channel|>final<|message|>b<|return|>",
     {"assistant/analysis \"a\" none", "assistant/final \"b\" return"}},
    {"channel without content",
     "<|channel|>analysis<|end|><|start|>assistant<|channel|>final<|message|>b<|return|>",
     {"assistant/analysis \"\" end", "assistant/final \"b\" return"}},
    {"header of a role alone", "<|start|>assistant<|end|>", {}},
    // Channels.
    {"unknown channel", "<|channel|>thoughts<|message|>a<|end|>", {"assistant/thoughts \"a\" end"}},
    {"channel that begins with a known one",
     "<|channel|>finally<|message|>a<|end|>",
     {"assistant/finally \"a\" end"}},
    // Text before any header.
    {"plain text", "Hello there.<|return|>", {"assistant/final \"Hello there.\" return"}},
    {"plain text, never ended", "Hello", {"assistant/final \"Hello\" none"}},
    {"plain text, then a header",
     "Okay<|channel|>final<|message|>Hi<|return|>",
     {"assistant/final \"Okay\" none", "assistant/final \"Hi\" return"}},
    {"plain text with a leading space", " 42<|return|>", {"assistant/final \" 42\" return"}},
    {"plain text like a channel", "final<|return|>", {"assistant/final \"final\" return"}},
    {"plain text like a channel, longer",
     "final answer: 42<|return|>",
     {"assistant/final \"final answer: 42\" return"}},
    {"plain text like a tool",
     "python is a language<|return|>",
     {"assistant/final \"python is a language\" return"}},
    {"plain text like a role",
     "user names are long<|return|>",
     {"assistant/final \"user names are long\" return"}},
    {"plain text like a recipient", "to be or not<|return|>", {"assistant/final \"to be or not\" return"}},
    {"text between messages",
     "<|channel|>analysis<|message|>a<|end|>So: 42<|return|>",
     {"assistant/analysis \"a\" end", "assistant/final \"So: 42\" return"}},
    // Cut.
    {"cut before anything", "", {}},
    {"cut in the channel", "<|channel|>ana", {}},
    {"cut in the recipient", "<|channel|>commentary to=functions.f", {}},
    {"cut in the type", "<|channel|>commentary to=functions.f <|constrain|>js", {}},
    {"cut in the role",
     "<|channel|>analysis<|message|>a<|end|><|start|>assis",
     {"assistant/analysis \"a\" end"}},
    {"cut in the content",
     "<|channel|>commentary to=functions.f json<|message|>{\"a\":",
     {"assistant@functions.f/commentary:json \"{\"a\":\" none"}},
    {"cut before content", "<|channel|>final<|message|>", {"assistant/final \"\" none"}},
    {"end of text", "<|channel|>final<|message|>Hi<|endoftext|>", {"assistant/final \"Hi\" endoftext"}},
    // Markers in text.
    {"constrain and a reserved token in content",
     "<|channel|>final<|message|>a<|constrain|>b<|reserved_200000|>c<|end|>",
     {"assistant/final \"abc\" end"}},
    {"reserved token in the header",
     "<|reserved_200000|><|channel|>final<|message|>a<|end|>",
     {"assistant/final \"a\" end"}},
    // Other authors.
    {"tool result",
     "<|start|>functions.f to=assistant<|channel|>commentary<|message|>{}<|end|>",
     {"tool(functions.f)@assistant/commentary \"{}\" end"},
     std::nullopt},
    {"tool result without a recipient",
     "<|start|>functions.f<|message|>{}<|end|>",
     {"tool(functions.f) \"{}\" end"},
     std::nullopt},
    {"user with a name", "<|start|>user:bob<|message|>Hi<|end|>", {"user(bob) \"Hi\" end"}, std::nullopt},
    {"runaway into the user's turn",
     "<|channel|>final<|message|>a<|end|><|start|>user<|message|>b<|end|>",
     {"assistant/final \"a\" end", "user \"b\" end"}},
    {"stream without its start marker", "Hi<|end|>", {"assistant/final \"Hi\" end"}, std::nullopt},
};

TEST(StreamParser, NamedCases) {
  for (const TestVocabulary* v : AllVocabularies()) {
    for (const Case& c : kCases) {
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
      const Case& base = kCases[random.Below(std::size(kCases))];
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
  for (const Case& c : kCases) {
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
