#include "tokenizer/o200k.h"

#include <fmt/core.h>
#include <zstd.h>

#include <cstddef>
#include <span>

#include "base/error.h"
#include "tokenizer/splitter.h"

namespace oxidized {

namespace embedded {
std::span<const std::byte> o200k_base();  // cmake/embed.cmake
}

namespace {

struct NamedSpecial {
  int32_t id;
  std::string_view text;
};
// Everything else from kO200kTokens up to kHarmonyIds is <|reserved_N|>. openai/harmony
// src/tiktoken_ext/public_encodings.rs.
constexpr NamedSpecial kHarmonySpecials[] = {
    {199998, "<|startoftext|>"}, {199999, "<|endoftext|>"}, {200002, "<|return|>"},
    {200003, "<|constrain|>"},   {200005, "<|channel|>"},   {200006, "<|start|>"},
    {200007, "<|end|>"},         {200008, "<|message|>"},   {200012, "<|call|>"},
    {200018, "<|endofprompt|>"},
};

constexpr size_t kUnpackedBytes = 1'597'668;  // a byte of length for each token, then the bytes of all

}  // namespace

void AddHarmonySpecials(Vocabulary& vocabulary, const std::string& name) {
  for (const auto& [id, text] : kHarmonySpecials) vocabulary.AddSpecial(id, text, name);
  for (int32_t id = kO200kTokens; id < kHarmonyIds; ++id) {
    // tiktoken gives 200018 both its name and the reserved one.
    if (!vocabulary.special_texts.contains(id) || id == 200018) {
      vocabulary.AddSpecial(id, fmt::format("<|reserved_{}|>", id), name, /*alias=*/id == 200018);
    }
  }
}

TokenTable O200kTokens() {
  const std::span<const std::byte> packed = embedded::o200k_base();
  std::string unpacked(kUnpackedBytes, '\0');
  const size_t bytes = ZSTD_decompress(unpacked.data(), unpacked.size(), packed.data(), packed.size());
  OX_CHECK(bytes == kUnpackedBytes);
  TokenTable tokens;
  tokens.Reserve(kO200kTokens, kUnpackedBytes - kO200kTokens);
  std::string_view rest = std::string_view(unpacked).substr(kO200kTokens);
  for (int32_t id = 0; id < kO200kTokens; ++id) {
    const auto length = static_cast<uint8_t>(unpacked[static_cast<size_t>(id)]);
    OX_CHECK(length <= rest.size());
    OX_CHECK(tokens.Add(id, rest.substr(0, length)) == TokenTable::Added::kYes);
    rest.remove_prefix(length);
  }
  OX_CHECK(rest.empty());
  return tokens;
}

Vocabulary O200kHarmony() {
  const std::string name = "o200k_harmony";
  Vocabulary vocabulary;
  vocabulary.tokens = O200kTokens();
  vocabulary.IndexBytes(name);
  vocabulary.ids_are_ranks = true;
  vocabulary.split_pattern = kO200kPattern;
  AddHarmonySpecials(vocabulary, name);
  return vocabulary;
}

}  // namespace oxidized
