// Batches: what a sequence gets does not depend on how it is cut into steps, on who is with it, or on the
// size of the step.
#include <algorithm>

#include "executor/testing/conformance/context.h"

namespace oxidized::conformance {
namespace {

Show TapsIf(const Executor& executor) { return {.logits = true, .taps = executor.Info().can.taps}; }

// Every sequence alone, each prompt in one step.
std::vector<Sequence> OneByOne(Context& context, const Model& model) {
  const OpenedExecutor opened = context.Open(model);
  Driver driver(*opened, context.findings, TapsIf(*opened));
  std::vector<Sequence> sequences;
  for (const std::vector<int32_t>& prompt : RaggedPrompts(driver.info().vocab_size)) {
    const int32_t s = driver.Add();
    driver.Step({{.sequence = s, .tokens = prompt, .wants = {{}}}});
    sequences.push_back(driver[s]);
    driver.End(s);
  }
  return sequences;
}

void ExpectAll(Driver& driver, const std::vector<Sequence>& expected, const std::string& what,
               Findings& findings) {
  for (size_t s = 0; s < expected.size(); ++s) {
    const Sequence& actual = driver[static_cast<int32_t>(s)];
    if (!findings.Expect(actual.end() == expected[s].end(), "{}: {} tokens fed", what, actual.end())) return;
    ExpectSameBits(actual, expected[s], fmt::format("{}, sequence {}", what, s), findings);
    findings.Expect(actual.samples.back().token == expected[s].samples.back().token, "{}: another last token",
                    what);
  }
}

}  // namespace

void CheckChunks(Context& context) {
  for (const Model& model : NarrowModels(context.brief())) {
    context.findings.At(model.name);
    if (context.Open(model).executor == nullptr) continue;
    const std::vector<Sequence> expected = OneByOne(context, model);
    const bool all = &model == &MainModel() && !context.brief();
    const std::vector<int64_t> sizes =
        all ? std::vector<int64_t>{1, 7, 31, 32, 33, 64} : std::vector<int64_t>{7, 50};
    for (const int64_t size : sizes) {
      const OpenedExecutor opened = context.Open(model);
      Driver driver(*opened, context.findings, TapsIf(*opened));
      const auto prompts = RaggedPrompts(driver.info().vocab_size);
      for (size_t i = 0; i < prompts.size(); ++i) driver.Add();
      for (bool more = true; more;) {
        std::vector<Piece> pieces;
        for (int32_t s = 0; s < std::ssize(prompts); ++s) {
          const std::vector<int32_t>& prompt = prompts[static_cast<size_t>(s)];
          const int64_t begin = driver[s].end(), end = std::min(begin + size, std::ssize(prompt));
          if (begin < end)
            pieces.push_back({.sequence = s, .tokens = Slice(prompt, begin, end), .wants = {{}}});
        }
        more = !pieces.empty();
        if (more) driver.Step(pieces);
      }
      ExpectAll(driver, expected, fmt::format("chunks of {}", size), context.findings);
    }
  }
}

void CheckBatchMates(Context& context) {
  for (const Model& model : NarrowModels(context.brief())) {
    context.findings.At(model.name);
    if (context.Open(model).executor == nullptr) continue;
    const std::vector<Sequence> expected = OneByOne(context, model);
    // steps of (sequence, rows); the slots of the sequences
    const auto with_slots = [&](const std::string& what,
                                std::vector<std::vector<std::pair<int32_t, int64_t>>> steps,
                                const std::vector<int32_t>& slots) {
      const OpenedExecutor opened = context.Open(model);
      Driver driver(*opened, context.findings, TapsIf(*opened));
      const auto prompts = RaggedPrompts(driver.info().vocab_size);
      for (const int32_t slot : slots) driver.Add({}, slot);
      for (const auto& step : steps) {
        std::vector<Piece> pieces;
        for (const auto& [s, rows] : step) {
          const int64_t begin = driver[s].end();
          pieces.push_back({.sequence = s,
                            .tokens = Slice(prompts[static_cast<size_t>(s)], begin, begin + rows),
                            .wants = {{}}});
        }
        driver.Step(pieces);
      }
      ExpectAll(driver, expected, what, context.findings);
    };
    with_slots(
        "ragged",
        {{{0, 64}, {1, 33}}, {{0, 1}, {1, 30}, {2, 5}}, {{0, 40}, {1, 1}, {2, 1}}, {{0, 45}, {1, 6}, {2, 3}}},
        {0, 1, 2});
    with_slots("other order and slots", {{{2, 9}, {0, 100}, {1, 20}}, {{1, 50}, {0, 50}}}, {3, 1, 0});
    with_slots("one after the other", {{{1, 70}}, {{2, 9}}, {{0, 150}}}, {2, 0, 3});
  }
}

void CheckSeveralSamples(Context& context) {
  const OpenedExecutor opened = context.Open(MainModel()), twin = context.Open(MainModel());
  Driver together(*opened, context.findings), apart(*twin, context.findings);
  const int32_t v = together.info().vocab_size;
  const std::vector<int32_t> prompt = Prompt(71, 12, v), mate = Prompt(72, 5, v);
  const auto want = [](int32_t row) {
    return Want{.row = row, .params = {.temperature = 1.0, .seed = 5}, .top_logprobs = 0};
  };
  together.Add(), together.Add(), apart.Add(), apart.Add();
  // Rows 3, 4, 9, 11 and the mate's 0 and 4; the last sample of a sequence is what its slot keeps.
  const Samples all =
      together.Step({{.sequence = 0, .tokens = prompt, .wants = {want(3), want(4), want(9), want(11)}},
                     {.sequence = 1, .tokens = mate, .wants = {want(0), want(4)}}});
  std::vector<SampledToken> expected;
  int64_t begin = 0;
  for (const int64_t row : {3, 4, 9, 11}) {
    expected.push_back(
        apart.Step({{.sequence = 0, .tokens = Slice(prompt, begin, row + 1), .wants = {want(-1)}}})[0][0]);
    begin = row + 1;
  }
  for (size_t i = 0; i < expected.size(); ++i) {
    context.findings.Expect(all[0][i].token == expected[i].token, "sample {} of a step is {}, by itself {}",
                            i, all[0][i].token, expected[i].token);
  }
  together.Step({{.sequence = 0, .tokens = {kLastSampled}, .wants = {{}}},
                 {.sequence = 1, .tokens = {kLastSampled}, .wants = {{}}}});
  apart.Step({{.sequence = 0, .tokens = {expected.back().token}, .wants = {{}}}});
  context.ExpectSame(*opened, together[0], apart[0], "after several samples");
}

// Guessed tokens that turn out wrong: the next step begins at an earlier position, and its keys and values
// take the place of what was there, across the end of a block and in every group.
void CheckVoidRows(Context& context) {
  context.ForNarrowModels([&](const Model& model, Executor& executor) {
    const OpenedExecutor twin = context.Open(model);
    Driver guessing(executor, context.findings), straight(*twin, context.findings);
    const int32_t v = guessing.info().vocab_size;
    const std::vector<int32_t> tokens = Prompt(81, 110, v);
    guessing.Add(), guessing.Add(), straight.Add();
    straight.Step({{.sequence = 0, .tokens = tokens, .wants = {{}}}});
    const std::vector<int32_t> mate = Prompt(82, 60, v);
    int64_t fed = 0, mate_fed = 0;
    for (const auto& [right, wrong] :
         {std::pair<int64_t, int64_t>{28, 7}, {2, 5}, {1, 1}, {30, 9}, {1, 4}, {32, 3}, {16, 0}}) {
      std::vector<int32_t> rows = Slice(tokens, fed, fed + right);
      for (const int32_t guess : Prompt(90 + static_cast<uint64_t>(fed), wrong, v)) rows.push_back(guess);
      Piece piece{.sequence = 0, .tokens = rows, .position = fed};
      for (int32_t i = static_cast<int32_t>(right) - 1; i < std::ssize(rows); ++i)
        piece.wants.push_back({.row = i});
      guessing.Step(
          {piece, {.sequence = 1, .tokens = Slice(mate, mate_fed, mate_fed + 3), .position = mate_fed}});
      fed += right;
      mate_fed += 3;
    }
    Sequence counted = guessing[0];
    counted.logits.erase(counted.logits.lower_bound(std::ssize(tokens)), counted.logits.end());
    context.ExpectSame(executor, counted, straight[0], "after wrong guesses");
  });
}

void CheckLimits(Context& context) {
  const Model& model = MainModel();
  Findings& findings = context.findings;
  // The longest step, as one sequence and as many; every slot; the last position.
  const ExecutorLimits limits{
      .max_context = 70, .max_sequences = 5, .max_step_tokens = 70, .kv_tokens = 5 * 96};
  const OpenedExecutor opened = context.Open(model, limits), twin = context.Open(model, limits),
                       small =
                           context.Open(model, {.max_context = 70, .max_sequences = 1, .max_step_tokens = 1});
  Driver driver(*opened, findings), many(*twin, findings), single(*small, findings);
  const int32_t v = driver.info().vocab_size;
  const std::vector<int32_t> tokens = Prompt(91, 70, v);
  driver.Step({{.sequence = driver.Add(), .tokens = tokens, .wants = {{}}}});
  std::vector<Piece> pieces;
  for (int32_t s = 0; s < limits.max_sequences; ++s)
    pieces.push_back({.sequence = many.Add(), .tokens = Slice(tokens, 0, 14), .wants = {{}}});
  many.Step(pieces);
  for (int64_t i = 14; i < std::ssize(tokens); ++i) {
    for (Piece& piece : pieces) piece.tokens = {tokens[static_cast<size_t>(i)]};
    many.Step(pieces);
  }
  single.Add();
  for (const int32_t token : tokens) single.Step({{.sequence = 0, .tokens = {token}, .wants = {{}}}});
  for (int32_t s = 0; s < limits.max_sequences; ++s)
    context.ExpectSame(*opened, many[s], driver[0], fmt::format("sequence {} of a full batch", s));
  context.ExpectSame(*opened, single[0], driver[0], "one slot, one row a step");
}

void CheckRepeats(Context& context) {
  for (const Model& model : NarrowModels(/*brief=*/true)) {
    context.findings.At(model.name);
    const OpenedExecutor opened = context.Open(model);
    if (opened.executor == nullptr) continue;
    Executor& executor = *opened;
    const OpenedExecutor twin = context.Open(model);
    Driver first(executor, context.findings, TapsIf(executor)),
        second(*twin, context.findings, TapsIf(executor));
    FeedRagged(first);
    FeedRagged(second);
    for (int32_t s = 0; s < 3; ++s)
      ExpectSameBits(second[s], first[s], "run a second time", context.findings);
  }
}

}  // namespace oxidized::conformance
