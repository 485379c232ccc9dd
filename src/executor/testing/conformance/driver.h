// Drives an executor step by step without an engine, and writes down what it showed for each position of each
// sequence: logits, taps, routing, samples. Every check speaks to its device through this.
//
// It is unkind on purpose: blocks are handed out in a scrambled order, sliding tables give blocks back as
// soon as the contract allows and others get them at once, and every result is full of garbage before Wait
// fills it, so that a field left as it was shows.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "executor/executor.h"
#include "executor/testing/conformance/findings.h"
#include "kv/block_pool.h"

namespace oxidized::conformance {

// A row whose next token is asked for.
struct Want {
  int32_t row = -1;  // of the piece; -1: its last
  SamplingParams params = {.temperature = 0.0};
  bool draw = true;  // false: only to be scored
  const TokenMask* mask = nullptr;
  bool late = false;  // the mask is brought by GiveMasks
  int32_t top_logprobs = -1;
  int32_t score_token = -1;
};

// The rows that one sequence adds to a step.
struct Piece {
  int32_t sequence = 0;
  std::vector<int32_t> tokens;   // or kLastSampled
  std::vector<Want> wants = {};  // ascending rows
  int64_t position = -1;         // of the first row; -1: behind the sequence's last
};

struct RoutedRow {
  std::vector<int32_t> experts;  // [stride of its step]
  std::vector<float> weights;
  uint8_t dropped = 0, rerouted = 0;
  std::vector<float> logits;  // [E], or empty
};

using TapName = std::pair<int32_t, std::string>;  // layer, name

// What is known of one sequence, by position where it says so. Rows fed again replace what was there.
struct Sequence {
  int32_t slot = 0;
  int32_t last_sampled = 0;  // what kLastSampled stands for, as far as steps were waited for
  RoutingPolicy policy;
  std::vector<int32_t> tokens;  // fed, kLastSampled replaced by what it stood for
  std::vector<BlockTable> tables;
  std::vector<SampledToken> samples;  // all that were asked for, in order
  std::map<int64_t, std::vector<float>> logits;
  std::map<TapName, std::map<int64_t, std::vector<float>>> taps;
  std::map<std::pair<int32_t, int64_t>, RoutedRow> routing;  // by layer, position

  int64_t end() const { return static_cast<int64_t>(tokens.size()); }
};

struct Show {
  bool logits = true;
  bool taps = false;
  bool router_logits = false;
};

using Samples = std::vector<std::vector<SampledToken>>;  // [pieces][wants]

class Driver {
 public:
  // Complaints about the contract's form (sizes, orders, rows that never came) go to `findings`.
  Driver(Executor& executor, Findings& findings, Show show = {});
  ~Driver();

  // A new sequence in the lowest slot that nobody has, or in `slot`. Returns its number.
  int32_t Add(const RoutingPolicy& policy = {}, int32_t slot = -1);
  // The sequence ends; a later one may have its slot and blocks. Its log stays.
  void End(int32_t sequence);
  // A new sequence that continues `from` behind its first `tokens` tokens, from copied blocks: one list of
  // copies to be made, appended to `copies`; ResetSlot counts the tokens as reused.
  int32_t Fork(int32_t from, int64_t tokens, std::vector<BlockCopy>& copies);

  Samples Step(const std::vector<Piece>& pieces) {
    Submit(pieces);
    return Wait();
  }
  void Submit(const std::vector<Piece>& pieces);
  Samples Wait();  // of the oldest step that was submitted
  // What Submit and Wait threw goes through; the step is forgotten.

  Sequence& operator[](int32_t sequence) { return sequences_[static_cast<size_t>(sequence)]; }
  Executor& executor() { return executor_; }
  const ExecutorInfo& info() const { return executor_.Info(); }
  int32_t TakeBlock(size_t group);
  const StepResult& last_result() const { return last_result_; }

 private:
  struct Prepared;
  void Cover(Sequence& sequence, int64_t first_row, int64_t end);
  void Collect(Prepared& step, StepResult& result, Samples& samples);

  Executor& executor_;
  Findings& findings_;
  const Show show_;
  std::deque<Sequence> sequences_;
  std::vector<bool> slot_taken_;
  std::vector<std::deque<int32_t>> free_;  // [groups]
  std::deque<std::unique_ptr<Prepared>> flying_;
  StepResult last_result_;
  uint64_t poison_ = 1;
};

// Whether two logs of the same tokens are equal bit for bit, on the positions that both hold, of which there
// must be some. `what` says how they were made.
void ExpectSameBits(const Sequence& actual, const Sequence& expected, const std::string& what,
                    Findings& findings);
bool SameBits(std::span<const float> a, std::span<const float> b);

}  // namespace oxidized::conformance
