#include "bench/tests.h"

#include <charconv>
#include <string_view>

#include "base/error.h"

namespace oxidized {
namespace {

using Kind = BenchTest::Kind;

constexpr int64_t kMostTokens = 1 << 20, kMostSequences = 4096;  // streams of an EngineLoop
constexpr int64_t kBatchPrompt = 128, kBatchSteps = 32;

struct Form {
  const char* prefix;
  Kind kind;
  bool numbered, deep;
};
constexpr Form kForms[] = {
    {"pp", Kind::kPrompt, true, true},
    {"tg", Kind::kDecode, true, true},
    {"b", Kind::kDecode, true, true},
    {"ttft", Kind::kFirstToken, true, false},
    {"harmony", Kind::kHarmony, false, false},
    {"kernels", Kind::kKernels, false, false},
    {"ceilings", Kind::kCeilings, false, false},
};

// The digits at the front of `text`, which are taken off, as a number; far too many of them: 0. nullopt:
// none.
std::optional<int64_t> TakeNumber(std::string_view& text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc::invalid_argument || text.starts_with('-')) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return error == std::errc() ? number : 0;
}

// Throws Error(kUsage) where a name has the form of a test.
void CheckRange(const std::string& name, const char* what, int64_t number, int64_t most) {
  if (number < 1 || number > most)
    Fail(ErrorKind::kUsage, "bench: '{}': {} must be from 1 to {}", name, what, most);
}

std::optional<BenchTest> Match(const Form& form, std::string_view text) {
  BenchTest test{.name = std::string(text), .kind = form.kind};
  if (!text.starts_with(form.prefix)) return std::nullopt;
  text.remove_prefix(std::string_view(form.prefix).size());
  const bool batch = form.prefix == std::string_view("b");
  const auto number = form.numbered ? TakeNumber(text) : 1;
  const bool deep = form.deep && text.starts_with("@d");
  if (deep) text.remove_prefix(2);
  const auto depth = deep ? TakeNumber(text) : batch ? kBatchPrompt : 0;
  if (!number || !depth || !text.empty()) return std::nullopt;
  CheckRange(test.name, batch ? "sequences" : "tokens", *number, batch ? kMostSequences : kMostTokens);
  if (deep) CheckRange(test.name, "the depth", *depth, kMostTokens);
  if (form.numbered) test.tokens = batch ? kBatchSteps : *number;
  if (batch) test.sequences = static_cast<int32_t>(*number);
  test.depth = *depth;
  return test;
}

}  // namespace

std::optional<BenchTest> FindBenchTest(const std::string& name) {
  for (const Form& form : kForms) {
    if (auto test = Match(form, name)) return test;
  }
  return std::nullopt;
}

BenchTest ParseBenchTest(const std::string& name) {
  if (const auto test = FindBenchTest(name)) return *test;
  Fail(ErrorKind::kUsage,
       "bench: '{}' is not a test; known are ppN, tgN and bS (each also with @dDEPTH), ttftN, harmony, "
       "kernels, "
       "ceilings",
       name);
}

std::vector<BenchTest> DefaultBenchTests() {
  std::vector<BenchTest> tests;
  for (const char* name : {"pp512", "pp2048", "tg64", "tg128", "tg64@d4096", "b1", "b2", "b4", "b8", "b16",
                           "ttft16", "ttft64", "ttft256"}) {
    tests.push_back(ParseBenchTest(name));
  }
  return tests;
}

}  // namespace oxidized
