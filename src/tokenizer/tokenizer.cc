#include "tokenizer/tokenizer.h"

#include <simdjson.h>

#include <algorithm>
#include <bitset>

#include "base/error.h"
#include "base/lfs_pointer.h"
#include "base/mapped_file.h"
#include "base/text_input.h"
#include "tokenizer/merge.h"
#include "tokenizer/o200k.h"
#include "tokenizer/splitter.h"
#include "tokenizer/utf8_stream.h"
#include "tokenizer/vocabulary.h"

namespace oxidized {
namespace {

// Where special tokens begin in a text: the longest at the leftmost place.
class SpecialFinder {
 public:
  explicit SpecialFinder(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {
    for (const auto& [text, id] : vocabulary.special_ids) {
      first_.set(static_cast<uint8_t>(text[0]));
      lengths_.push_back(text.size());
    }
    std::sort(lengths_.begin(), lengths_.end(), std::greater<>());
    lengths_.erase(std::unique(lengths_.begin(), lengths_.end()), lengths_.end());
  }

  struct Found {
    size_t position, length;
    int32_t id;
  };
  std::optional<Found> Find(std::string_view text, size_t from) const {
    std::string candidate;
    for (size_t at = from; at < text.size(); ++at) {
      if (!first_.test(static_cast<uint8_t>(text[at]))) continue;
      for (const size_t length : lengths_) {
        if (length > text.size() - at) continue;
        candidate.assign(text, at, length);
        const auto special = vocabulary_.special_ids.find(candidate);
        if (special != vocabulary_.special_ids.end()) return Found{at, length, special->second};
      }
    }
    return std::nullopt;
  }

 private:
  const Vocabulary& vocabulary_;
  std::bitset<256> first_;
  std::vector<size_t> lengths_;  // descending, at most 256 of them
};

// What Encode may take whole when the file wants every piece merged: the tokens that merging their own bytes
// gives.
std::vector<bool> MergeResults(const Vocabulary& vocabulary) {
  std::vector<bool> reached(vocabulary.tokens.id_limit());
  MergeScratch scratch;
  std::vector<int32_t> ids;
  for (int32_t id = 0; id < vocabulary.tokens.id_limit(); ++id) {
    const auto bytes = vocabulary.tokens.Bytes(id);
    if (!bytes) continue;
    ids.clear();
    MergePiece(vocabulary, *bytes, scratch, ids);
    reached[id] = ids.size() == 1;
  }
  return reached;
}

// What a file of weights is, by how it begins; nullptr for anything else.
const char* WeightsFormat(std::string_view text) {
  if (text.starts_with("GGUF")) return "a GGUF file";
  // Safetensors: 8 bytes of header length, least first, then the header; no text has a NUL there.
  if (text.size() > 8 && text[7] == '\0' && text[8] == '{') return "a safetensors file";
  return nullptr;
}

// Calls `use` with the text as valid UTF-8, repaired only when it must be.
template <typename Use>
void WithValidUtf8(std::string_view text, const Use& use) {
  // Merging counts places in 32 bits.
  if (text.size() > INT32_MAX / 4) {
    Fail(ErrorKind::kUsage, "tokenizer: a text of {} bytes, expected at most {}", text.size(), INT32_MAX / 4);
  }
  if (simdjson::validate_utf8(text.data(), text.size())) {
    use(text);
  } else {
    use(std::string_view(RepairUtf8(text)));
  }
}

}  // namespace

struct Tokenizer::Impl {
  Vocabulary vocabulary;
  Splitter splitter;
  SpecialFinder specials;
  std::vector<bool> merge_results;  // [id]; empty when a piece that is a token is always taken whole
  int32_t vocab_size;

  Impl(Vocabulary&& read, const std::string& name)
      : vocabulary(std::move(read)), splitter(vocabulary.split_pattern, name), specials(vocabulary) {
    if (!vocabulary.whole_piece_first) merge_results = MergeResults(vocabulary);
    vocab_size = vocabulary.tokens.id_limit();
    for (const auto& [id, text] : vocabulary.special_texts) vocab_size = std::max(vocab_size, id + 1);
  }

  // `text` is valid UTF-8 without special tokens.
  void EncodeOrdinary(std::string_view text, MergeScratch& scratch, std::vector<int32_t>& out) const {
    Splitter::Walk pieces(splitter, text);
    for (std::string_view piece; pieces.Next(piece);) {
      const auto whole = vocabulary.tokens.Find(piece);
      if (whole && (merge_results.empty() || merge_results[*whole])) {
        out.push_back(*whole);
      } else {
        MergePiece(vocabulary, piece, scratch, out);
      }
    }
  }
};

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::~Tokenizer() = default;

std::unique_ptr<Tokenizer> Tokenizer::Load(const std::filesystem::path& path) {
  const MappedFile file = MappedFile::Open(path);
  RefuseLfsPointer(file.bytes(), path);
  const std::string_view bytes(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  if (const char* weights = WeightsFormat(bytes)) {
    Fail(ErrorKind::kBadFile,
         "{}: {}, expected tokenizer.json or a tiktoken rank file (a model's own vocabulary is used when it "
         "is "
         "the model)",
         path.string(), weights);
  }
  std::string store;
  const std::string_view text = DecodedText(bytes, path.string(), store);
  const size_t begin = text.find_first_not_of(" \t\r\n");
  // Base64 has no brace, so the first character tells the two formats apart.
  const bool json = begin != std::string_view::npos && text[begin] == '{';
  return json ? FromTokenizerJson(text, path.string()) : FromRankFile(text, path.string());
}

std::unique_ptr<Tokenizer> Tokenizer::FromTokenizerJson(std::string_view json, const std::string& name) {
  return std::unique_ptr<Tokenizer>(
      new Tokenizer(std::make_unique<Impl>(ReadTokenizerJson(json, name), name)));
}

std::unique_ptr<Tokenizer> Tokenizer::FromRankFile(std::string_view text, const std::string& name) {
  return std::unique_ptr<Tokenizer>(new Tokenizer(std::make_unique<Impl>(ReadRankFile(text, name), name)));
}

std::unique_ptr<Tokenizer> Tokenizer::FromTokenList(std::span<const ListedToken> list,
                                                    std::span<const std::string_view> merges,
                                                    const std::string& name) {
  return std::unique_ptr<Tokenizer>(
      new Tokenizer(std::make_unique<Impl>(ReadTokenList(list, merges, name), name)));
}

std::unique_ptr<Tokenizer> Tokenizer::BuiltIn() {
  return std::unique_ptr<Tokenizer>(new Tokenizer(std::make_unique<Impl>(O200kHarmony(), "o200k_harmony")));
}

std::vector<int32_t> Tokenizer::Encode(std::string_view text) const {
  std::vector<int32_t> ids;
  Encode(text, ids);
  return ids;
}

void Tokenizer::Encode(std::string_view text, std::vector<int32_t>& out) const {
  WithValidUtf8(text, [&](std::string_view valid) {
    MergeScratch scratch;
    impl_->EncodeOrdinary(valid, scratch, out);
  });
}

std::vector<int32_t> Tokenizer::EncodeWithSpecials(std::string_view text) const {
  std::vector<int32_t> ids;
  WithValidUtf8(text, [&](std::string_view valid) {
    MergeScratch scratch;
    for (size_t from = 0; from < valid.size();) {
      const auto special = impl_->specials.Find(valid, from);
      const size_t until = special ? special->position : valid.size();
      impl_->EncodeOrdinary(valid.substr(from, until - from), scratch, ids);
      if (special) ids.push_back(special->id);
      from = special ? until + special->length : until;
    }
  });
  return ids;
}

std::optional<std::string_view> Tokenizer::TokenBytes(int32_t id) const {
  const auto special = impl_->vocabulary.special_texts.find(id);
  if (special != impl_->vocabulary.special_texts.end()) return special->second;
  return impl_->vocabulary.tokens.Bytes(id);
}

bool Tokenizer::IsSpecial(int32_t id) const { return impl_->vocabulary.special_texts.contains(id); }

std::optional<int32_t> Tokenizer::SpecialId(std::string_view text) const {
  const auto special = impl_->vocabulary.special_ids.find(std::string(text));
  if (special == impl_->vocabulary.special_ids.end()) return std::nullopt;
  return special->second;
}

int32_t Tokenizer::vocab_size() const { return impl_->vocab_size; }

const Vocabulary& Tokenizer::vocabulary() const { return impl_->vocabulary; }

}  // namespace oxidized
