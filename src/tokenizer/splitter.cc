#include "tokenizer/splitter.h"

#include <algorithm>
#include <cstdint>

#include "base/error.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace oxidized {

const std::string_view kO200kPattern =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

namespace {

constexpr size_t kMaxPatternBytes = 16 << 10;
constexpr size_t kJitStackStart = 64 << 10, kJitStackMax = 16 << 20;  // reserved, not touched

std::string RewriteWhiteSpace(std::string_view pattern) {
  std::string out;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '\\' || i + 1 == pattern.size()) {
      out += pattern[i];
      continue;
    }
    const char escaped = pattern[++i];
    if (escaped == 's') {
      out += R"(\p{White_Space})";
    } else if (escaped == 'S') {
      out += R"(\P{White_Space})";
    } else {
      out += '\\';
      out += escaped;
    }
  }
  return out;
}

std::string PcreMessage(int code) {
  PCRE2_UCHAR text[256] = {};
  pcre2_get_error_message(code, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

// What one thread needs to match any pattern: Encode is called from many threads on one Tokenizer.
struct MatchState {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(kJitStackStart, kJitStackMax, nullptr);

  MatchState() {
    if (data == nullptr || context == nullptr)
      Fail(ErrorKind::kNoMemory, "tokenizer: no memory for the split pattern");
    pcre2_jit_stack_assign(context, nullptr, stack);  // without a stack PCRE2 uses 32 KiB of the thread's own
  }
  MatchState(const MatchState&) = delete;
  MatchState& operator=(const MatchState&) = delete;
  ~MatchState() {
    pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
  }
};

MatchState& ThreadMatchState() {
  thread_local MatchState state;
  return state;
}

}  // namespace

struct Splitter::Code {
  pcre2_code* compiled = nullptr;
  ~Code() { pcre2_code_free(compiled); }
};

Splitter::Splitter(std::string_view pattern, const std::string& name)
    : code_(std::make_unique<Code>()), name_(name) {
  if (pattern.empty() || pattern.size() > kMaxPatternBytes) {
    Fail(ErrorKind::kBadFile, "{}: split pattern has {} bytes, expected 1 to {}", name, pattern.size(),
         kMaxPatternBytes);
  }
  const std::string rewritten = RewriteWhiteSpace(pattern);
  int error = 0;
  PCRE2_SIZE offset = 0;
  // \C could end a match inside a character.
  code_->compiled = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(rewritten.data()), rewritten.size(),
                                  PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &offset, nullptr);
  if (code_->compiled == nullptr) {
    Fail(ErrorKind::kBadFile, "{}: split pattern is not a regular expression: {} near its byte {}", name,
         PcreMessage(error), offset);
  }
  // Where executable memory is forbidden the interpreter gives the same pieces, slower.
  jitted_ = pcre2_jit_compile(code_->compiled, PCRE2_JIT_COMPLETE) == 0;
}

Splitter::~Splitter() = default;

void Splitter::Find(std::string_view text, size_t from, size_t& begin, size_t& end) const {
  MatchState& state = ThreadMatchState();
  const auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  for (size_t start = from; start < text.size();) {
    const int rc = pcre2_match(code_->compiled, subject, text.size(), start, PCRE2_NO_UTF_CHECK, state.data,
                               state.context);
    if (rc == PCRE2_ERROR_NOMATCH) break;
    if (rc < 0) {
      Fail(ErrorKind::kBadFile, "{}: split pattern fails on a text of {} bytes: {}", name_, text.size(),
           PcreMessage(rc));
    }
    const PCRE2_SIZE* match = pcre2_get_ovector_pointer(state.data);
    // Lookbehind with \K can report a match that begins before the start or after its own end: treated as
    // empty.
    if (match[0] >= start && match[1] > match[0]) {
      begin = match[0];
      end = match[1];
      return;
    }
    start = std::max(start, match[0]);  // an empty match: go on behind the next character
    do {
      ++start;
    } while (start < text.size() && (static_cast<uint8_t>(text[start]) & 0xC0) == 0x80);
  }
  begin = end = text.size();
}

Splitter::Walk::Walk(const Splitter& splitter, std::string_view text) : splitter_(splitter), text_(text) {
  match_begin_ = match_end_ = 0;
  // A run of capitals costs a step a character until the first alternative gives up, so the limit grows with
  // the text; what is beyond it is a pattern with nested repeats.
  constexpr size_t kBaseSteps = 10'000'000, kStepsPerByte = 16;
  const size_t steps = std::min<size_t>(kBaseSteps + kStepsPerByte * text.size(), UINT32_MAX);
  pcre2_set_match_limit(ThreadMatchState().context, static_cast<uint32_t>(steps));
}

bool Splitter::Walk::Next(std::string_view& piece) {
  if (done_ == match_end_) {
    if (done_ == text_.size()) return false;
    splitter_.Find(text_, done_, match_begin_, match_end_);
  }
  const size_t until = done_ < match_begin_ ? match_begin_ : match_end_;
  piece = text_.substr(done_, until - done_);
  done_ = until;
  return true;
}

}  // namespace oxidized
