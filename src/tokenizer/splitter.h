// The pre-tokeniser: cuts text into the pieces that byte-pair merging may not cross, by the vocabulary's own
// regular expression. Knows nothing of tokens. Called by Tokenizer::Encode on valid UTF-8 only.
//
// The pattern is written for the Rust and Oniguruma engines; PCRE2 runs it with `\s` and `\S` replaced by the
// White_Space property, because PCRE2's own \s also takes U+180E. Matching is linear in the text for the
// patterns in use: no alternative rescans text that an earlier match at the same place did not consume.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace oxidized {

// Split pattern of o200k_base and o200k_harmony (tiktoken's openai_public.py).
extern const std::string_view kO200kPattern;

class Splitter {
 public:
  // Throws Error(kBadFile) when the pattern is not a regular expression; `name` is the file it came from.
  Splitter(std::string_view pattern, const std::string& name);
  ~Splitter();
  Splitter(const Splitter&) = delete;
  Splitter& operator=(const Splitter&) = delete;

  // Walks over one valid UTF-8 text. Pieces are never empty and together they are the text: what the pattern
  // leaves out between two matches is a piece too, as in Hugging Face's "Isolated" behaviour. Next throws
  // Error(kBadFile) when the pattern needs more steps than any sane pattern does on such a text.
  class Walk {
   public:
    Walk(const Splitter& splitter, std::string_view text);
    bool Next(std::string_view& piece);

   private:
    const Splitter& splitter_;
    std::string_view text_;
    size_t done_ = 0;                 // all before is handed out
    size_t match_begin_, match_end_;  // the match that comes after the text in between
  };

  bool jitted() const { return jitted_; }

 private:
  struct Code;  // the compiled pattern
  void Find(std::string_view text, size_t from, size_t& begin, size_t& end) const;

  std::unique_ptr<Code> code_;
  std::string name_;
  bool jitted_ = false;
};

}  // namespace oxidized
