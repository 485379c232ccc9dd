// Merges as tokenizer.json and GGUF list them: pairs of tokens in byte-level text, in order of priority.
//
// When they are listed in the order of their results, as in every file made from tiktoken's ranks and every
// file as trained, the result's id is the rank, so that of two ways to make the same token the leftmost in
// the text comes first, as in tiktoken; else the place in the list is the rank. Called by tokenizer_json and
// token_list.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace oxidized {

class ListedMerges {
 public:
  // `vocabulary`: its tokens are complete. Both must outlive this.
  ListedMerges(Vocabulary& vocabulary, const std::string& name) : vocabulary_(vocabulary), name_(name) {}

  // These throw Error(kBadFile): what is not a pair of tokens that together are a token; a pair listed twice.
  void Add(std::string_view left, std::string_view right);
  void AddPair(std::string_view text);  // "left right"
  void Finish();                        // fills vocabulary.merges

 private:
  struct Merged {
    int32_t left, right, result;
  };
  int32_t TokenOfText(std::string_view text, std::string& bytes) const;

  Vocabulary& vocabulary_;
  const std::string& name_;
  std::vector<Merged> merges_;
  std::string left_bytes_, right_bytes_;
};

}  // namespace oxidized
