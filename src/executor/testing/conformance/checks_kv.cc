// Slots and KV memory: what is kept, for whom, and what is not.
#include <algorithm>

#include "executor/testing/conformance/context.h"

namespace oxidized::conformance {

void CheckSlots(Context& context) {
  const OpenedExecutor opened = context.Open(MainModel()), twin = context.Open(MainModel());
  Driver driver(*opened, context.findings), plain(*twin, context.findings);
  Findings& findings = context.findings;
  const int32_t v = driver.info().vocab_size;
  const int32_t a = driver.Add({}, 2), b = driver.Add({}, 0);
  const Want want{.params = {.temperature = 1.0, .seed = 12}};
  driver.Step({{.sequence = a, .tokens = Prompt(101, 8, v), .wants = {want}}});
  // While a waits, b decodes.
  driver.Step({{.sequence = b, .tokens = Prompt(102, 5, v), .wants = {want}}});
  for (int i = 0; i < 3; ++i) driver.Step({{.sequence = b, .tokens = {kLastSampled}, .wants = {want}}});
  // A chunk without a sample keeps what was sampled before it; a row that is only scored draws nothing.
  driver.Step({{.sequence = a, .tokens = {kLastSampled, 9}, .wants = {{.draw = false, .score_token = 1}}},
               {.sequence = b, .tokens = {kLastSampled}}});
  driver.Step({{.sequence = a, .tokens = {kLastSampled, 3}, .wants = {want}}});
  plain.Add({}, 0);
  plain.Step({{.sequence = 0, .tokens = driver[a].tokens, .wants = {want}}});
  context.ExpectSame(*opened, driver[a], plain[0], "fed as kLastSampled");
  findings.Expect(driver[a].samples.back().token == plain[0].samples.back().token, "another token");

  // A new sequence in the slot has nothing to feed: 0.
  driver.End(a);
  const int32_t c = driver.Add({}, 2);
  driver.Step({{.sequence = c, .tokens = {5, kLastSampled, 6}, .wants = {want}}});
  plain.End(0);
  const int32_t d = plain.Add({}, 0);
  plain.Step({{.sequence = d, .tokens = {5, 0, 6}, .wants = {want}}});
  context.ExpectSame(*opened, driver[c], plain[d], "kLastSampled in a fresh slot");
}

void CheckCopies(Context& context) {
  context.ForNarrowModels([&](const Model& model, Executor& executor) {
    const OpenedExecutor twin = context.Open(model);
    Driver driver(executor, context.findings), plain(*twin, context.findings);
    const int32_t v = driver.info().vocab_size;
    const std::vector<int32_t> stem = Prompt(111, 45, v), one = Prompt(112, 30, v), two = Prompt(113, 30, v);
    const int32_t origin = driver.Add();
    driver.Step({{.sequence = origin, .tokens = stem}});
    std::vector<BlockCopy> copies;
    const int32_t fork = driver.Fork(origin, std::ssize(stem), copies);  // in the middle of a block
    driver.executor().CopyBlocks(copies);
    copies.clear();  // the list is the call's
    // Both go on, each its own way, in the halves of a block that they had in common.
    for (int64_t i = 0; i < 30; i += 10) {
      driver.Step({{.sequence = origin, .tokens = Slice(one, i, i + 10), .wants = {{}}},
                   {.sequence = fork, .tokens = Slice(two, i, i + 10), .wants = {{}}}});
    }
    for (const auto& [number, rest] : {std::pair{origin, &one}, std::pair{fork, &two}}) {
      std::vector<int32_t> tokens = stem;
      tokens.insert(tokens.end(), rest->begin(), rest->end());
      const int32_t straight = plain.Add();
      plain.Step({{.sequence = straight, .tokens = tokens, .wants = {{}}}});
      context.ExpectSame(executor, driver[number], plain[straight],
                         number == origin ? "what was copied from" : "what was copied to");
      plain.End(straight);
    }
  });
}

// A -> B, X -> A, B -> C, and in a second call A -> B: targets that were sources before, and sources that
// were targets.
void CheckCopyOrder(Context& context) {
  context.ForNarrowModels([&](const Model& model, Executor& executor) {
    const OpenedExecutor twin = context.Open(model);
    Driver driver(executor, context.findings), plain(*twin, context.findings);
    const int32_t v = driver.info().vocab_size;
    const std::vector<int32_t> first = Prompt(121, 20, v), second = Prompt(122, 20, v),
                               rest = Prompt(123, 6, v);
    const int32_t a = driver.Add(), x = driver.Add();
    driver.Step({{.sequence = a, .tokens = first}, {.sequence = x, .tokens = second}});
    std::vector<BlockCopy> copies, again;
    std::vector<int32_t> b, c;
    const auto groups = static_cast<int32_t>(driver[a].tables.size());
    for (int32_t g = 0; g < groups; ++g) {
      const auto group = static_cast<size_t>(g);
      const int32_t from_a = driver[a].tables[group].blocks.at(0),
                    from_x = driver[x].tables[group].blocks.at(0);
      b.push_back(driver.TakeBlock(group));
      c.push_back(driver.TakeBlock(group));
      copies.insert(copies.end(), {{g, from_a, b.back()}, {g, from_x, from_a}, {g, b.back(), c.back()}});
      again.push_back({g, from_a, b.back()});
    }
    driver.executor().CopyBlocks(copies);
    driver.executor().CopyBlocks(again);
    copies.clear();
    again.clear();
    // C holds the first, A and B the second now.
    const auto expect = [&](int32_t sequence, const std::vector<int32_t>& stem, const char* what) {
      driver[sequence].tokens = stem;
      driver.Step({{.sequence = sequence, .tokens = rest, .wants = {{}}}});
      const int32_t straight = plain.Add();
      plain.Step({{.sequence = straight, .tokens = stem}});
      plain.Step({{.sequence = straight, .tokens = rest, .wants = {{}}}});
      // What the sequence showed before the copies is not its own any more.
      driver[sequence].logits.erase(driver[sequence].logits.begin(),
                                    driver[sequence].logits.lower_bound(std::ssize(stem)));
      context.ExpectSame(executor, driver[sequence], plain[straight], what);
      plain.End(straight);
    };
    expect(a, second, "a source that became a target");
    expect(x, second, "a source");
    const auto with = [&](const std::vector<int32_t>& blocks) {
      driver.End(x);
      const int32_t s = driver.Add();
      for (int32_t g = 0; g < groups; ++g)
        driver[s].tables[static_cast<size_t>(g)].blocks = {blocks[static_cast<size_t>(g)]};
      return s;
    };
    const int32_t of_c = with(c);
    expect(of_c, first, "a copy of a copy");
    driver.End(a);
    const int32_t of_b = driver.Add();
    for (int32_t g = 0; g < groups; ++g)
      driver[of_b].tables[static_cast<size_t>(g)].blocks = {b[static_cast<size_t>(g)]};
    expect(of_b, second, "a target that was filled twice");
  });
}

// Many short lives in few blocks and slots.
void CheckReusedBlocks(Context& context) {
  const Model& model = MainModel();
  const ExecutorLimits tight{.max_context = 96, .max_sequences = 2, .max_step_tokens = 48, .kv_tokens = 192};
  const OpenedExecutor opened = context.Open(model, tight);
  Driver driver(*opened, context.findings);
  const int32_t v = driver.info().vocab_size;
  for (uint64_t life = 0; life < (context.brief() ? 3u : 8u); ++life) {
    const int64_t lengths[] = {90, 3, 33, 64, 40, 5, 77, 31};
    const std::vector<int32_t> tokens = Prompt(130 + life, lengths[life], v),
                               mate = Prompt(150 + life, 20, v);
    const int32_t s = driver.Add(), m = driver.Add();
    for (int64_t i = 0; i < std::ssize(tokens); i += 28) {
      std::vector<Piece> pieces = {
          {.sequence = s, .tokens = Slice(tokens, i, std::min(i + 28, std::ssize(tokens))), .wants = {{}}}};
      if (i == 0) pieces.insert(pieces.begin(), {.sequence = m, .tokens = mate, .wants = {{}}});
      driver.Step(pieces);
    }
    const OpenedExecutor twin = context.Open(model, tight);
    Driver plain(*twin, context.findings);
    const int32_t straight = plain.Add();
    for (int64_t i = 0; i < std::ssize(tokens); i += 48)
      plain.Step({{.sequence = straight,
                   .tokens = Slice(tokens, i, std::min(i + 48, std::ssize(tokens))),
                   .wants = {{}}}});
    context.ExpectSame(*opened, driver[s], plain[straight], fmt::format("life {}", life));
    driver.End(life % 2 == 0 ? s : m);
    driver.End(life % 2 == 0 ? m : s);
  }
}

}  // namespace oxidized::conformance
