#include "checkpoint/embedded_vocabulary.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "checkpoint/message_text.h"
#include "tensor/float16.h"

namespace oxidized {
namespace {

using Kind = ListedToken::Kind;

bool IsArrayOf(const GgufValue& value, GgufType type) { return value.is_array && value.type == type; }

std::string Text(const Gguf& gguf, const char* key) {
  const GgufValue* value = gguf.Find(key);
  std::string_view text;
  if (value != nullptr && !value->is_array && value->type == GgufType::kString)
    GgufStrings(*value).Next(text);
  return std::string(text);
}

// "[PAD201087]": what converters put where no token has the id, whatever type they give it.
bool IsPadding(std::string_view text) {
  if (!text.starts_with("[PAD") || !text.ends_with("]") || text.size() < 6) return false;
  const std::string_view digits = text.substr(4, text.size() - 5);
  return digits.find_first_not_of("0123456789") == std::string_view::npos;
}

// ggml's token types: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte.
Kind KindOf(int32_t type, std::string_view text) {
  if (type == 1) return Kind::kOrdinary;
  const bool special = type == 3 || type == 4;
  return special && !IsPadding(text) ? Kind::kSpecial : Kind::kAbsent;
}

// gpt-oss has one rule, which llama.cpp calls gpt-4o; Ollama's converter does not have a name for it.
bool IsO200kSplit(const std::string& split) {
  return split.empty() || split == "gpt-4o" || split == "default";
}

}  // namespace

std::optional<EmbeddedVocabulary> FindVocabulary(const Gguf& gguf, const std::string& source) {
  const GgufValue* tokens = gguf.Find("tokenizer.ggml.tokens");
  if (tokens == nullptr) return std::nullopt;
  const auto copy = [&](const char* key) -> std::optional<GgufValue> {
    const GgufValue* value = gguf.Find(key);
    return value == nullptr ? std::nullopt : std::optional(*value);
  };
  return EmbeddedVocabulary{*tokens,
                            copy("tokenizer.ggml.token_type"),
                            copy("tokenizer.ggml.merges"),
                            Text(gguf, "tokenizer.ggml.model"),
                            Text(gguf, "tokenizer.ggml.pre"),
                            source};
}

std::unique_ptr<Tokenizer> MakeTokenizer(const EmbeddedVocabulary& vocabulary) {
  const std::string& name = vocabulary.source;
  if (vocabulary.model != "gpt2" || !IsO200kSplit(vocabulary.split)) {
    Fail(ErrorKind::kUnsupported,
         "{}: its vocabulary is {}, split {}, expected \"gpt2\", split \"gpt-4o\"; name a tokenizer file "
         "instead",
         name, Quoted(vocabulary.model), Quoted(vocabulary.split));
  }
  const GgufValue& tokens = vocabulary.tokens;
  if (!IsArrayOf(tokens, GgufType::kString)) {
    Fail(ErrorKind::kBadFile, "{}: tokenizer.ggml.tokens is not an array of strings", name);
  }
  const std::optional<GgufValue>& kinds = vocabulary.kinds;
  if (!kinds || !IsArrayOf(*kinds, GgufType::kI32) || kinds->count != tokens.count) {
    Fail(ErrorKind::kBadFile, "{}: tokenizer.ggml.token_type is not an array of {} i32, one for each token",
         name, tokens.count);
  }
  std::vector<ListedToken> list;
  list.reserve(static_cast<size_t>(tokens.count));  // each has 8 bytes in the file at least
  GgufStrings texts(tokens);
  int64_t ordinary = 0;
  for (std::string_view text; texts.Next(text);) {
    const auto type = LoadUnaligned<int32_t>(kinds->bytes.data() + 4 * list.size());
    list.push_back({text, KindOf(type, text)});
    ordinary += list.back().kind == Kind::kOrdinary;
  }

  // A list longer than the vocabulary has the tokens' every split, as of o200k: the ids say the same, sooner.
  // One that is shorter was trained, and has one split of each token.
  std::vector<std::string_view> merges;
  if (vocabulary.merges && vocabulary.merges->count <= ordinary) {
    if (!IsArrayOf(*vocabulary.merges, GgufType::kString)) {
      Fail(ErrorKind::kBadFile, "{}: tokenizer.ggml.merges is not an array of strings", name);
    }
    GgufStrings listed(*vocabulary.merges);
    for (std::string_view text; listed.Next(text);) merges.push_back(text);
  }
  return Tokenizer::FromTokenList(list, merges, name);
}

}  // namespace oxidized
