// The vocabularies that the tests of this module run with: the byte tokenizer always, the published one when
// OXIDIZED_O200K names its rank file (o200k_base.tiktoken), which is not in the repository.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "harmony/testing/byte_tokenizer.h"
#include "harmony/tokens.h"

namespace oxidized {

struct TestVocabulary {
  const Tokenizer& tokenizer;
  HarmonyTokens tokens;
};

inline const TestVocabulary& ByteVocabulary() {
  static const auto tokenizer = MakeByteTokenizer();
  static const TestVocabulary vocabulary{*tokenizer, HarmonyTokens::Resolve(*tokenizer)};
  return vocabulary;
}

// nullptr: the environment names no rank file.
inline const TestVocabulary* PublishedVocabulary() {
  const char* path = std::getenv("OXIDIZED_O200K");
  if (!path || !*path) return nullptr;
  static const auto tokenizer = Tokenizer::Load(path);
  static const TestVocabulary vocabulary{*tokenizer, HarmonyTokens::Resolve(*tokenizer)};
  return &vocabulary;
}

inline std::vector<const TestVocabulary*> AllVocabularies() {
  std::vector<const TestVocabulary*> all = {&ByteVocabulary()};
  if (PublishedVocabulary()) all.push_back(PublishedVocabulary());
  return all;
}

inline std::string ReadText(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace oxidized
