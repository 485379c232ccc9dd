// Reads Hugging Face's `tokenizer.json` when it is a byte-level BPE without normaliser, split by a regular
// expression: the form of gpt-oss, and of what the `tokenizers` package trains in that setting. Anything else
// is refused by name. Post-processor, truncation and padding are not read: they concern wrapping a text in
// special tokens and batching.
//
// The file of the published models, 28 MB, is recognised rather than read (o200k.h).
#include <simdjson.h>

#include <algorithm>
#include <new>
#include <vector>

#include "base/error.h"
#include "tokenizer/byte_text.h"
#include "tokenizer/listed_merges.h"
#include "tokenizer/o200k.h"
#include "tokenizer/vocabulary.h"

namespace oxidized {
namespace {

namespace dom = simdjson::dom;

class Reader {
 public:
  explicit Reader(const std::string& name) : name_(name) {}

  // `known`: the tokens, of which all splits merge, when model.vocab and model.merges were recognised.
  Vocabulary Read(std::string_view json, std::optional<TokenTable> known = std::nullopt) {
    dom::parser parser;
    dom::object root;
    const simdjson::error_code error = parser.parse(json.data(), json.size()).get(root);
    if (error == simdjson::MEMALLOC) throw std::bad_alloc();
    if (error != simdjson::SUCCESS) Refuse("no JSON object: cut off, damaged, or not a tokenizer.json");
    RequireNull(root, "normalizer");
    const dom::object model = Get<dom::object>(root, "model");
    ReadAddedTokens(root);
    ReadModelSettings(model);
    if (known) {
      vocabulary_.tokens = std::move(*known);
      vocabulary_.ids_are_ranks =
          true;  // every token is what merging its bytes gives: ignore_merges is the same
    } else {
      ReadTokens(Get<dom::object>(model, "vocab"));
    }
    vocabulary_.IndexBytes(name_);
    if (!known) ReadMerges(Get<dom::array>(model, "merges"));
    ReadSplit(root);
    return std::move(vocabulary_);
  }

 private:
  template <typename... Args>
  [[noreturn]] void Refuse(fmt::format_string<Args...> format, Args&&... args) const {
    Fail(ErrorKind::kBadFile, "{}: {}", name_, fmt::format(format, std::forward<Args>(args)...));
  }

  template <typename T>
  static constexpr const char* TypeName() {
    if constexpr (std::is_same_v<T, dom::object>) return "an object";
    if constexpr (std::is_same_v<T, dom::array>) return "an array";
    if constexpr (std::is_same_v<T, std::string_view>) return "a string";
    if constexpr (std::is_same_v<T, int64_t>) return "an integer";
    if constexpr (std::is_same_v<T, bool>) return "true or false";
  }

  template <typename T>
  T As(const dom::element& element, const char* what) const {
    T value;
    if (element.get(value) != simdjson::SUCCESS) Refuse("{} is not {}", what, TypeName<T>());
    return value;
  }

  template <typename T>
  T Get(const dom::object& object, const char* key) const {
    dom::element element;
    if (object[key].get(element) != simdjson::SUCCESS) Refuse("no {}, expected {}", key, TypeName<T>());
    return As<T>(element, key);
  }

  // An absent or null field has its default.
  template <typename T>
  T GetOr(const dom::object& object, const char* key, T fallback) const {
    dom::element element;
    if (object[key].get(element) != simdjson::SUCCESS || element.is_null()) return fallback;
    return As<T>(element, key);
  }

  void RequireNull(const dom::object& object, const char* key) const {
    dom::element element;
    if (object[key].get(element) == simdjson::SUCCESS && !element.is_null())
      Refuse("{} is set, expected null", key);
  }

  void RequireFalse(const dom::object& object, const char* key, bool fallback, const std::string& of) const {
    if (GetOr<bool>(object, key, fallback)) Refuse("{} of {} is true, expected false", key, of);
  }

  void RequireType(const dom::object& object, std::string_view expected, const char* of) const {
    const auto type = Get<std::string_view>(object, "type");
    if (type != expected) Refuse("{} is of type {}, expected {}", of, PrintableStart(type), expected);
  }

  void ReadAddedTokens(const dom::object& root) {
    dom::element list;
    if (root["added_tokens"].get(list) != simdjson::SUCCESS || list.is_null()) return;
    for (const dom::element entry : As<dom::array>(list, "added_tokens")) {
      const auto token = As<dom::object>(entry, "an entry of added_tokens");
      const auto id = Get<int64_t>(token, "id");
      vocabulary_.AddSpecial(id, Get<std::string_view>(token, "content"), name_);
      for (const char* flag : {"lstrip", "rstrip", "single_word"}) {
        RequireFalse(token, flag, false, fmt::format("added token {}", id));
      }
    }
  }

  void ReadModelSettings(const dom::object& model) {
    RequireType(model, "BPE", "model");
    RequireNull(model, "dropout");
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      if (!GetOr<std::string_view>(model, key, "").empty()) Refuse("{} is set, expected none", key);
    }
    RequireFalse(model, "byte_fallback", false, "model");
    ignore_merges_ = GetOr<bool>(model, "ignore_merges", false);
  }

  void ReadTokens(const dom::object& vocab) {
    struct Entry {
      std::string_view text;
      int64_t id;
    };
    std::vector<Entry> entries;
    size_t bytes = 0;
    int64_t highest = -1;
    for (const auto [key, value] : vocab) {
      const auto id = As<int64_t>(value, "an id in vocab");
      if (id < 0 || id > kMaxTokenId) Refuse("vocab has id {}, expected 0 to {}", id, kMaxTokenId);
      const auto special = vocabulary_.special_texts.find(static_cast<int32_t>(id));
      if (special != vocabulary_.special_texts.end()) {
        if (special->second != key) Refuse("id {} has another text in vocab than in added_tokens", id);
        continue;
      }
      entries.push_back({key, id});
      bytes += key.size();
      highest = std::max(highest, id);
    }
    if (bytes > UINT32_MAX) Refuse("vocab has {} bytes, expected less than 4 GiB", bytes);
    // Special tokens may fill places among the ordinary ones; nothing else may be missing.
    int64_t places = highest + 1;
    for (const auto& [id, text] : vocabulary_.special_texts) places -= id < highest;
    if (places != static_cast<int64_t>(entries.size())) {
      Refuse("vocab has {} ordinary tokens up to id {}, expected each id once", entries.size(), highest);
    }
    vocabulary_.tokens.Reserve(static_cast<size_t>(highest + 1), bytes);
    std::string decoded;
    for (const Entry& entry : entries) {
      if (!DecodeByteText(entry.text, decoded) || decoded.empty()) {
        Refuse("token {} is not in byte-level form", entry.id);
      }
      if (vocabulary_.tokens.Add(static_cast<int32_t>(entry.id), decoded) != TokenTable::Added::kYes) {
        Refuse("token {} or its text is there twice", entry.id);
      }
    }
  }

  void ReadMerges(const dom::array& list) {
    ListedMerges merges(vocabulary_, name_);
    size_t number = 0;
    for (const dom::element element : list) {
      std::string_view left, right, text;
      dom::array pair;
      if (element.get(text) == simdjson::SUCCESS) {
        merges.AddPair(text);
      } else if (element.get(pair) == simdjson::SUCCESS && pair.size() == 2 &&
                 pair.at(0).get(left) == simdjson::SUCCESS && pair.at(1).get(right) == simdjson::SUCCESS) {
        merges.Add(left, right);
      } else {
        Refuse("merge {} is not two tokens", number);
      }
      ++number;
    }
    merges.Finish();
    vocabulary_.whole_piece_first = ignore_merges_;
  }

  void ReadSplit(const dom::object& root) {
    constexpr const char* kExpected = "pre_tokenizer is not the sequence of a Split and a ByteLevel";
    const auto pre = Get<dom::object>(root, "pre_tokenizer");
    RequireType(pre, "Sequence", "pre_tokenizer");
    const auto steps = Get<dom::array>(pre, "pretokenizers");
    if (steps.size() != 2) Refuse("{}", kExpected);
    const auto split = As<dom::object>(steps.at(0).value(), "pretokenizers[0]");
    const auto bytes = As<dom::object>(steps.at(1).value(), "pretokenizers[1]");
    RequireType(split, "Split", "pretokenizers[0]");
    RequireType(bytes, "ByteLevel", "pretokenizers[1]");
    const auto behavior = Get<std::string_view>(split, "behavior");
    if (behavior != "Isolated")
      Refuse("behavior of Split is {}, expected Isolated", PrintableStart(behavior));
    RequireFalse(split, "invert", false, "Split");
    RequireFalse(bytes, "add_prefix_space", true, "ByteLevel");
    RequireFalse(bytes, "use_regex", true, "ByteLevel");
    vocabulary_.split_pattern = Get<std::string_view>(Get<dom::object>(split, "pattern"), "Regex");
  }

  const std::string& name_;
  Vocabulary vocabulary_;
  bool ignore_merges_ = false;
};

}  // namespace

Vocabulary ReadTokenizerJson(std::string_view json, const std::string& name) {
  constexpr size_t kLeastO200kBytes = 4 << 20;  // no shorter text holds its tokens and merges
  if (json.size() < kLeastO200kBytes) return Reader(name).Read(json);
  TokenTable o200k = O200kTokens();
  const std::optional<std::string> rest = WithoutO200kTables(json, o200k);
  if (!rest) return Reader(name).Read(json);
  Vocabulary vocabulary = Reader(name).Read(*rest, std::move(o200k));
  for (const auto& [id, text] : vocabulary.special_texts) {
    if (id < kO200kTokens) return Reader(name).Read(json);  // it takes the place of an ordinary token
  }
  return vocabulary;
}

}  // namespace oxidized
