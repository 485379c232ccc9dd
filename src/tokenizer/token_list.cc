// Reads a vocabulary given as a list of tokens in id order, as GGUF holds it, split as o200k is.
#include "base/error.h"
#include "tokenizer/byte_text.h"
#include "tokenizer/listed_merges.h"
#include "tokenizer/splitter.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/vocabulary.h"

namespace oxidized {

Vocabulary ReadTokenList(std::span<const ListedToken> list, std::span<const std::string_view> merges,
                         const std::string& name) {
  constexpr size_t kMaxTokenBytes = 512;  // as in rank files: no longer pair is looked up while merging
  if (list.size() > static_cast<size_t>(kMaxTokenId) + 1) {
    Fail(ErrorKind::kBadFile, "{}: {} tokens, expected at most {}", name, list.size(), kMaxTokenId + 1);
  }
  size_t bytes = 0, limit = 0;
  for (size_t id = 0; id < list.size(); ++id) {
    if (list[id].kind != ListedToken::Kind::kOrdinary) continue;
    bytes += list[id].text.size();
    limit = id + 1;
  }
  if (bytes > UINT32_MAX)
    Fail(ErrorKind::kBadFile, "{}: {} bytes of tokens, expected less than 4 GiB", name, bytes);

  Vocabulary vocabulary;
  vocabulary.tokens.Reserve(limit, bytes);
  std::string decoded;
  for (size_t i = 0; i < list.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    if (list[i].kind == ListedToken::Kind::kSpecial) vocabulary.AddSpecial(id, list[i].text, name);
    if (list[i].kind != ListedToken::Kind::kOrdinary) continue;
    if (!DecodeByteText(list[i].text, decoded) || decoded.empty()) {
      Fail(ErrorKind::kBadFile, "{}: token {} is not in byte-level form", name, id);
    }
    if (decoded.size() > kMaxTokenBytes) {
      Fail(ErrorKind::kBadFile, "{}: token {} has {} bytes, expected at most {}", name, id, decoded.size(),
           kMaxTokenBytes);
    }
    if (vocabulary.tokens.Add(id, decoded) != TokenTable::Added::kYes) {
      Fail(ErrorKind::kBadFile, "{}: the text of token {} is there twice", name, id);
    }
  }
  vocabulary.IndexBytes(name);
  vocabulary.ids_are_ranks = merges.empty();
  vocabulary.whole_piece_first = merges.empty();
  ListedMerges listed(vocabulary, name);
  for (const std::string_view merge : merges) listed.AddPair(merge);
  listed.Finish();
  vocabulary.split_pattern = kO200kPattern;
  return vocabulary;
}

}  // namespace oxidized
