// Byte-level BPE for gpt-oss: text to token ids and back.
//
// Loads `tokenizer.json` (Hugging Face), a tiktoken rank file or the list of tokens in a GGUF file, or takes
// the vocabulary of the published models, o200k_harmony, which is part of the program. Encode treats every
// string as ordinary text: the text of a special token in user input never becomes that token. Only callers
// that render a prompt format use SpecialId. Thread safe after construction.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace oxidized {

struct Vocabulary;

// One token of a list in id order, as GGUF holds a vocabulary.
struct ListedToken {
  enum class Kind : uint8_t { kAbsent, kOrdinary, kSpecial };  // absent: the id stands for nothing
  std::string_view text;                                       // of an ordinary token in byte-level form
  Kind kind = Kind::kAbsent;
};

class Tokenizer {
 public:
  // Throws Error(kBadFile) naming the path, what was found and what was expected.
  static std::unique_ptr<Tokenizer> Load(const std::filesystem::path& path);
  // The same from bytes in memory; `name` stands for the path in messages. Entry point of the fuzz targets.
  static std::unique_ptr<Tokenizer> FromTokenizerJson(std::string_view json, const std::string& name);
  static std::unique_ptr<Tokenizer> FromRankFile(std::string_view text, const std::string& name);
  // `merges` are pairs "left right" in order of priority; none: any two tokens merge that together are a
  // token, the lower id first. Text is split as o200k splits it.
  static std::unique_ptr<Tokenizer> FromTokenList(std::span<const ListedToken> list,
                                                  std::span<const std::string_view> merges,
                                                  const std::string& name);
  // o200k_harmony: ids 0 to 201087, of which 199998 and above are special. Needs no file.
  static std::unique_ptr<Tokenizer> BuiltIn();

  ~Tokenizer();
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  // Ordinary encoding. Invalid UTF-8 is repaired first: one U+FFFD for each maximal invalid part.
  std::vector<int32_t> Encode(std::string_view text) const;
  void Encode(std::string_view text, std::vector<int32_t>& out) const;  // appends
  // Like Encode, but the text of a special token becomes that token (raw prompts in the Harmony format).
  std::vector<int32_t> EncodeWithSpecials(std::string_view text) const;

  // The bytes of a token; a special token's text. nullopt: no such id.
  std::optional<std::string_view> TokenBytes(int32_t id) const;
  bool IsSpecial(int32_t id) const;
  std::optional<int32_t> SpecialId(std::string_view text) const;  // "<|start|>"

  int32_t vocab_size() const;  // highest known id + 1

  // The tables behind it, for writing them into another file (tokenizer/vocabulary.h).
  const Vocabulary& vocabulary() const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace oxidized
