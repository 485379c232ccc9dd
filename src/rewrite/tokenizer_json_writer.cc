#include "rewrite/tokenizer_json_writer.h"

#include <map>
#include <nlohmann/json.hpp>

#include "checkpoint/vocabulary_text.h"

namespace oxidized {
namespace {

using Json = nlohmann::ordered_json;

Json AddedTokens(const Vocabulary& vocabulary) {
  Json list = Json::array();
  for (const auto& [id, text] : std::map(vocabulary.special_texts.begin(), vocabulary.special_texts.end())) {
    list.push_back({{"id", id},
                    {"content", text},
                    {"single_word", false},
                    {"lstrip", false},
                    {"rstrip", false},
                    {"normalized", false},
                    {"special", true}});
  }
  return list;
}

Json ByteLevel(bool trim_offsets) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", trim_offsets},
          {"use_regex", false}};
}

}  // namespace

std::string TokenizerJson(const Vocabulary& vocabulary) {
  Json tokens = Json::object();
  for (int32_t id = 0; id < vocabulary.tokens.id_limit(); ++id) {
    if (const auto bytes = vocabulary.tokens.Bytes(id)) tokens[EncodeByteText(*bytes)] = id;
  }
  Json merges = Json::array();
  for (const std::string& merge : MergeTexts(vocabulary)) {
    const size_t space = merge.find(' ');  // a token has none: its byte is written otherwise
    merges.push_back({merge.substr(0, space), merge.substr(space + 1)});
  }
  const Json split = {{"type", "Split"},
                      {"pattern", {{"Regex", vocabulary.split_pattern}}},
                      {"behavior", "Isolated"},
                      {"invert", false}};
  Json root;
  root["version"] = "1.0";
  root["truncation"] = nullptr;
  root["padding"] = nullptr;
  root["added_tokens"] = AddedTokens(vocabulary);
  root["normalizer"] = nullptr;
  root["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {split, ByteLevel(true)}}};
  root["post_processor"] = ByteLevel(false);
  root["decoder"] = ByteLevel(true);
  root["model"] = {{"type", "BPE"},
                   {"dropout", nullptr},
                   {"unk_token", nullptr},
                   {"continuing_subword_prefix", nullptr},
                   {"end_of_word_suffix", nullptr},
                   {"fuse_unk", false},
                   {"byte_fallback", false},
                   {"ignore_merges", vocabulary.whole_piece_first},
                   {"vocab", std::move(tokens)},
                   {"merges", std::move(merges)}};
  return root.dump(1) + "\n";
}

}  // namespace oxidized
