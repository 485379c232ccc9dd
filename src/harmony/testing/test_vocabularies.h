// The vocabularies that the tests of this module run with: the byte tokenizer and the published one.
#pragma once

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

inline const TestVocabulary& PublishedVocabulary() {
  static const auto tokenizer = Tokenizer::BuiltIn();
  static const TestVocabulary vocabulary{*tokenizer, HarmonyTokens::Resolve(*tokenizer)};
  return vocabulary;
}

inline std::vector<const TestVocabulary*> AllVocabularies() {
  return {&ByteVocabulary(), &PublishedVocabulary()};
}

inline std::string ReadText(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace oxidized
