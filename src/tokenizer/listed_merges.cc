#include "tokenizer/listed_merges.h"

#include <algorithm>

#include "base/error.h"
#include "tokenizer/byte_text.h"

namespace oxidized {

int32_t ListedMerges::TokenOfText(std::string_view text, std::string& bytes) const {
  const auto id = DecodeByteText(text, bytes) ? vocabulary_.tokens.Find(bytes) : std::nullopt;
  if (!id) {
    Fail(ErrorKind::kBadFile, "{}: merge {} names {}, which is not a token", name_, merges_.size(),
         PrintableStart(text));
  }
  return *id;
}

void ListedMerges::Add(std::string_view left, std::string_view right) {
  Merged merge;
  merge.left = TokenOfText(left, left_bytes_);
  merge.right = TokenOfText(right, right_bytes_);
  left_bytes_ += right_bytes_;
  const auto result = vocabulary_.tokens.Find(left_bytes_);
  if (!result) {
    Fail(ErrorKind::kBadFile, "{}: merge {} gives {}{}, which is not a token", name_, merges_.size(),
         PrintableStart(left), PrintableStart(right));
  }
  merge.result = *result;
  merges_.push_back(merge);
}

void ListedMerges::AddPair(std::string_view text) {
  const size_t space = text.find(' ');
  if (space == std::string_view::npos) {
    Fail(ErrorKind::kBadFile, "{}: merge {} is not two tokens", name_, merges_.size());
  }
  Add(text.substr(0, space), text.substr(space + 1));
}

void ListedMerges::Finish() {
  const bool ids_are_ranks = std::is_sorted(
      merges_.begin(), merges_.end(), [](const Merged& a, const Merged& b) { return a.result < b.result; });
  vocabulary_.merges.Reserve(merges_.size());
  for (size_t i = 0; i < merges_.size(); ++i) {
    const Merged& merge = merges_[i];
    const size_t rank = ids_are_ranks ? static_cast<size_t>(merge.result) : i;
    if (!vocabulary_.merges.Add(merge.left, merge.right, {static_cast<uint32_t>(rank), merge.result})) {
      Fail(ErrorKind::kBadFile, "{}: merge {} is there twice", name_, i);
    }
  }
}

}  // namespace oxidized
