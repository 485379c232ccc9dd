// What goes wrong stays where it belongs; and two steps in flight, where the device takes them.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "executor/testing/conformance/context.h"
#include "tensor/float16.h"

namespace oxidized::conformance {
namespace {

void Put(const std::byte* data, int64_t index, uint16_t bits) {
  std::memcpy(const_cast<std::byte*>(data) + index * 2, &bits, 2);
}

constexpr uint16_t kNan = 0x7FC0, kInfinity = 0x7F80;  // bf16

}  // namespace

void CheckNonFinite(Context& context) {
  Findings& findings = context.findings;
  for (const uint16_t value : {kNan, kInfinity}) {
    // A token whose embedding is damaged: rows from it on, of its sequence alone.
    const auto model = Damageable(MainModel());
    const int32_t v = model->config.vocab_size, bad = 7;
    Put(model->weights.embedding.data, bad * int64_t{model->config.hidden_size} + 3, value);
    const OpenedExecutor opened = context.Open(*model), twin = context.Open(*model);
    Driver driver(*opened, findings), plain(*twin, findings);
    std::vector<int32_t> sick = Prompt(401, 40, v), well = Prompt(402, 12, v);
    for (auto* tokens : {&sick, &well}) {
      for (int32_t& token : *tokens) token = token == bad ? bad + 1 : token;
    }
    sick[10] = bad;
    const int32_t a = driver.Add(), b = driver.Add();
    std::vector<Want> wants;
    for (int32_t i = 0; i < std::ssize(sick); ++i) wants.push_back({.row = i});
    const Samples samples = driver.Step(
        {{.sequence = a, .tokens = sick, .wants = wants}, {.sequence = b, .tokens = well, .wants = {{}}}});
    for (int32_t i = 0; i < std::ssize(sick); ++i) {
      // The full layer lets every later row see it.
      findings.Expect(samples[0][static_cast<size_t>(i)].finite == (i < 10),
                      "row {} of a sequence with a {} at row 10 is {}finite", i,
                      std::isnan(Bf16ToFloat(value)) ? "NaN" : "infinity",
                      samples[0][static_cast<size_t>(i)].finite ? "" : "not ");
    }
    findings.Expect(samples[1][0].finite, "a batch mate of a damaged sequence is not finite");
    // Its next row is fed as 0 and stays void; nobody aborts.
    const Samples next = driver.Step({{.sequence = a, .tokens = {kLastSampled}, .wants = {{}}},
                                      {.sequence = b, .tokens = {kLastSampled}, .wants = {{}}}});
    findings.Expect(!next[0][0].finite && next[1][0].finite, "a step later");
    // Whoever gets its slot and its blocks, full of NaNs behind the rows written, sees nothing of it.
    driver.End(a);
    const int32_t c = driver.Add(), d = plain.Add();
    for (Driver* each : {&driver, &plain}) {
      const int32_t s = each == &driver ? c : d;
      each->Step({{.sequence = s, .tokens = Slice(well, 0, 5), .wants = {{}}}});
      each->Step({{.sequence = s, .tokens = Slice(well, 5, 12), .wants = {{}}}});
    }
    findings.Expect(driver[c].samples.back().finite,
                    "the next sequence in a damaged one's blocks is not finite");
    context.ExpectSame(*opened, driver[c], plain[d], "in a damaged sequence's blocks");
  }

  // An expert of the last layer: exactly the rows that went there.
  const auto model = Damageable(MainModel());
  const int32_t expert = 5, last = model->config.num_layers - 1;
  Put(model->weights.layers.back().down[expert].bias.data, 2, kNan);
  const OpenedExecutor opened = context.Open(*model);
  Driver driver(*opened, findings);
  const int32_t s = driver.Add();
  Piece piece{.sequence = s, .tokens = Prompt(403, 60, model->config.vocab_size)};
  for (int32_t i = 0; i < std::ssize(piece.tokens); ++i) piece.wants.push_back({.row = i});
  const Samples samples = driver.Step({piece});
  int64_t damaged = 0;
  for (int32_t i = 0; i < std::ssize(piece.tokens); ++i) {
    const std::vector<int32_t>& experts = driver[s].routing.at({last, i}).experts;
    const bool hit = std::find(experts.begin(), experts.end(), expert) != experts.end();
    damaged += hit;
    findings.Expect(samples[0][static_cast<size_t>(i)].finite == !hit,
                    "row {} is {}finite, and did {}use the damaged expert", i, hit ? "" : "not ",
                    hit ? "" : "not ");
  }
  findings.Expect(damaged > 0 && damaged < std::ssize(piece.tokens), "{} of {} rows used the damaged expert",
                  damaged, std::ssize(piece.tokens));
}

void CheckFailedStep(Context& context) {
  const OpenedExecutor opened = context.Open(MainModel()), twin = context.Open(MainModel());
  Driver driver(*opened, context.findings), plain(*twin, context.findings);
  const int32_t v = driver.info().vocab_size;
  const std::vector<int32_t> tokens = Prompt(411, 20, v);
  const int32_t a = driver.Add(), b = driver.Add();
  driver.Step({{.sequence = a, .tokens = Slice(tokens, 0, 9)}});
  bool failed = false;
  context.subject().fail_next_step(*opened);
  try {
    driver.Step({{.sequence = b, .tokens = tokens, .wants = {{}}}});
  } catch (const Error& error) {
    failed = error.kind() == ErrorKind::kRequestFailed;
  }
  context.findings.Expect(failed, "a step that was to fail threw no Error(kRequestFailed)");
  driver.End(b);
  const int32_t c = driver.Add();
  driver.Step({{.sequence = a, .tokens = Slice(tokens, 9, 20), .wants = {{}}},
               {.sequence = c, .tokens = tokens, .wants = {{}}}});
  plain.Add();
  plain.Step({{.sequence = 0, .tokens = tokens, .wants = {{}}}});
  context.ExpectSame(*opened, driver[a], plain[0], "across a failed step of others");
  context.ExpectSame(*opened, driver[c], plain[0], "in the place of a failed sequence");
}

// The same calls, once with each step waited for before the next one is submitted, once with the next one
// submitted before: decoding by kLastSampled, a prompt in chunks beside it, a sequence that ends while its
// next row runs, its slot and blocks taken by another behind it in the queue, copies between the steps.
void CheckTwoSteps(Context& context) {
  const Model& model = MainModel();
  std::vector<Sequence> logs[2];
  for (const bool ahead : {false, true}) {
    const OpenedExecutor opened = context.Open(model);
    Driver driver(*opened, context.findings);
    const int32_t v = driver.info().vocab_size;
    int flying = 0;
    const auto step = [&](const std::vector<Piece>& pieces) {
      driver.Submit(pieces);
      ++flying;
      if (!ahead || flying == 2) {
        driver.Wait();
        --flying;
      }
    };
    const Want drawn{.params = {.temperature = 1.0,
                                .frequency_penalty = driver.info().can.penalties ? 0.3 : 0.0,
                                .seed = 77}};
    const std::vector<int32_t> prompt = Prompt(421, 60, v);
    const int32_t a = driver.Add(), b = driver.Add();
    step({{.sequence = a, .tokens = Prompt(422, 30, v), .wants = {drawn}},
          {.sequence = b, .tokens = Slice(prompt, 0, 20)}});
    step({{.sequence = a, .tokens = {kLastSampled}, .wants = {drawn}},
          {.sequence = b, .tokens = Slice(prompt, 20, 40)}});
    step({{.sequence = b, .tokens = Slice(prompt, 40, 60), .wants = {drawn}},
          {.sequence = a, .tokens = {kLastSampled}, .wants = {drawn}}});
    for (int i = 0; i < 3; ++i)
      step({{.sequence = a, .tokens = {kLastSampled}, .wants = {drawn}},
            {.sequence = b, .tokens = {kLastSampled}, .wants = {drawn}}});
    // a ends; c takes its slot and blocks while a's last row may still run.
    driver.End(a);
    const int32_t c = driver.Add();
    step({{.sequence = b, .tokens = {kLastSampled}, .wants = {drawn}},
          {.sequence = c, .tokens = Prompt(423, 35, v), .wants = {drawn}}});
    // c is copied behind the step that fills it, before that step is waited for; both write on.
    std::vector<BlockCopy> copies;
    const int32_t d = driver.Fork(c, 35, copies);
    driver.executor().CopyBlocks(copies);
    copies.clear();
    step({{.sequence = c, .tokens = {kLastSampled}, .wants = {drawn}},
          {.sequence = d, .tokens = {3, 4}, .wants = {drawn}}});
    step({{.sequence = d, .tokens = {kLastSampled}, .wants = {drawn}},
          {.sequence = c, .tokens = {kLastSampled}, .wants = {drawn}}});
    // b begins again earlier: its last rows were void.
    step({{.sequence = b, .tokens = {1, 2, 3}, .wants = {drawn}, .position = 61}});
    while (flying-- > 0) driver.Wait();
    for (const int32_t s : {a, b, c, d}) logs[ahead ? 1 : 0].push_back(driver[s]);
  }
  for (size_t s = 0; s < logs[0].size(); ++s) {
    ExpectSameBits(logs[1][s], logs[0][s], fmt::format("sequence {} with two steps in flight", s),
                   context.findings);
    context.findings.Expect(logs[1][s].tokens == logs[0][s].tokens,
                            "sequence {}: other tokens with two steps in flight", s);
  }
}

}  // namespace oxidized::conformance
