// What `bench` can measure, by name. Names are those of llama-bench where it has one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace oxidized::cli {

struct BenchTest {
  enum class Kind : uint8_t {
    kPrompt,      // ppN[@dD]: a prompt of N tokens behind D that are there already, tokens/s
    kDecode,      // tgN[@dD], bS[@dD]: S sequences, each with D tokens, add one token a step; tokens/s of all
    kFirstToken,  // ttftN: from a prompt of N tokens to its first token, ms
    kHarmony,     // harmony: rendering and parsing a long conversation on one core, tokens/s
    kKernels,     // kernels: each kernel by itself, us
    kCeilings,    // ceilings: nothing but what the machine can do
  };
  std::string name;
  Kind kind = Kind::kCeilings;
  int64_t tokens = 0;     // kPrompt, kFirstToken: of the prompt; kDecode: steps
  int64_t depth = 0;      // tokens of each sequence that are there before the timed part
  int32_t sequences = 1;  // kDecode

  bool needs_engine() const { return kind <= Kind::kFirstToken; }
  // Tokens of one sequence when the test ends.
  int64_t positions() const { return depth + tokens; }
};

// Throws Error(kUsage) saying what is known, or the range of a number.
BenchTest ParseBenchTest(const std::string& name);
// Those that run when none is named.
std::vector<BenchTest> DefaultBenchTests();

}  // namespace oxidized::cli
