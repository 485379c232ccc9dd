// Tokens: each sample follows from the raw logits that the device itself shows, by the one sampler of
// sampling/; masks, penalties and seeds are each sample's own.
#include <algorithm>

#include "base/rng.h"
#include "executor/testing/conformance/context.h"
#include "sampling/sampler.h"

namespace oxidized::conformance {
namespace {

std::string At(int64_t position, size_t mode) {
  return fmt::format("mode {} at position {}", mode, position);
}

int32_t Argmax(std::span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

// Ids [0, V/2) and their copies behind them: every logit is there twice.
std::shared_ptr<Model> Twins() {
  auto model = Damageable(MainModel());
  MatrixView& w = model->weights.unembedding;
  const int64_t half = w.rows / 2;
  auto* bytes = const_cast<std::byte*>(w.data);
  std::copy_n(bytes, half * w.row_bytes(), bytes + half * w.row_bytes());
  return model;
}

// Some ids, `of` in a hundred.
TokenMask SomeIds(int32_t vocab_size, uint64_t seed, uint32_t of) {
  TokenMask mask(vocab_size, false);
  for (int32_t id = 0; id < vocab_size; ++id) {
    if (RandomBits(seed, 11, static_cast<uint64_t>(id))[0] % 100 < of) mask.Set(id, true);
  }
  mask.Set(static_cast<int32_t>(seed) % vocab_size, true);
  return mask;
}

const SamplingParams kModes[] = {
    {.temperature = 1.0},
    {.temperature = 0.3},
    {.temperature = 5.0},
    {.temperature = 1.0, .top_k = 1},
    {.temperature = 1.0, .top_k = 5},
    {.temperature = 2.0, .top_k = 100000},
    {.temperature = 1.0, .top_p = 0.9},
    {.temperature = 3.0, .top_p = 0.5},
    {.temperature = 1.0, .top_p = 1e-6},
    {.temperature = 1.0, .min_p = 0.1},
    {.temperature = 4.0, .min_p = 1.0},
    {.temperature = 3.0, .top_k = 40, .top_p = 0.8, .min_p = 0.02},
    {.temperature = 0.0, .top_k = 5, .top_p = 0.5},
};

}  // namespace

void CheckGreedy(Context& context) {
  for (const auto& model : {std::make_shared<Model>(MainModel()), Twins()}) {
    const OpenedExecutor opened = context.Open(*model);
    Driver driver(*opened, context.findings);
    const int32_t v = driver.info().vocab_size;
    const int32_t a = driver.Add(), b = driver.Add();
    driver.Step({{.sequence = a, .tokens = Prompt(21, 40, v), .wants = {{}}},
                 {.sequence = b, .tokens = Prompt(22, 3, v), .wants = {{}}}});
    for (int i = 0; i < 12; ++i) {
      driver.Step({{.sequence = b, .tokens = {kLastSampled}, .wants = {{}}},
                   {.sequence = a, .tokens = {kLastSampled}, .wants = {{}}}});
    }
    const OpenedExecutor twin = context.Open(*model);
    Driver straight(*twin, context.findings);
    for (const int32_t s : {a, b}) {
      const int64_t first = driver[s].end() - static_cast<int64_t>(driver[s].samples.size());
      for (size_t i = 0; i < driver[s].samples.size(); ++i) {
        const int32_t best = Argmax(driver[s].logits[first + static_cast<int64_t>(i)]);
        context.findings.Expect(driver[s].samples[i].token == best,
                                "greedy token {} is {}, the logits say {}", i, driver[s].samples[i].token,
                                best);
      }
      // What kLastSampled stood for is what was fed.
      straight.Step({{.sequence = straight.Add(), .tokens = driver[s].tokens, .wants = {{}}}});
      context.ExpectSame(*opened, driver[s], straight[s], "fed as kLastSampled");
    }
  }
}

void CheckSampling(Context& context) {
  for (const auto& model : {std::make_shared<Model>(MainModel()), Twins()}) {
    const OpenedExecutor opened = context.Open(*model);
    Driver driver(*opened, context.findings);
    const int32_t v = driver.info().vocab_size;
    const int64_t rows = std::ssize(kModes);
    const int32_t a = driver.Add(), b = driver.Add();
    for (uint64_t seed = 0; seed < (context.brief() ? 2u : 6u); ++seed) {
      // Each row another mode, in two sequences and at other positions each time.
      Piece first{.sequence = a, .tokens = Prompt(seed, rows, v)},
          second{.sequence = b, .tokens = Prompt(seed + 50, rows, v)};
      for (int32_t i = 0; i < rows; ++i) {
        Want want{.row = i, .params = kModes[i]};
        want.params.seed = seed * 7919;
        first.wants.push_back(want);
        want.params = kModes[rows - 1 - i];
        want.params.seed = ~seed;
        second.wants.push_back(want);
      }
      const int64_t begin = driver[a].end();
      const Samples samples = driver.Step({first, second});
      for (const auto& [piece, of] : {std::pair{&first, 0}, std::pair{&second, 1}}) {
        for (size_t i = 0; i < piece->wants.size(); ++i) {
          const int64_t position = begin + static_cast<int64_t>(i);
          const SampledToken expected = ExpectedSample(driver[piece->sequence].logits[position],
                                                       piece->wants[i], nullptr, nullptr, position + 1);
          ExpectSample(samples[static_cast<size_t>(of)][i], expected, piece->wants[i], At(position, i),
                       context.findings);
        }
      }
    }
  }
}

void CheckLogprobs(Context& context) {
  const std::shared_ptr<Model> twins = Twins();
  const OpenedExecutor opened = context.Open(*twins);
  Driver driver(*opened, context.findings);
  const int32_t v = driver.info().vocab_size, most = std::min(driver.info().can.top_logprobs, v + 3);
  const int32_t a = driver.Add();
  std::vector<Want> wants = {{.top_logprobs = 0},
                             {.params = {.temperature = 2.0, .seed = 3}, .top_logprobs = std::min(1, most)},
                             {.top_logprobs = std::min(5, most), .score_token = 7},
                             {.params = {.temperature = 0.5, .top_k = 3, .seed = 4}, .top_logprobs = most},
                             {.draw = false, .top_logprobs = -1, .score_token = v - 1},
                             {.draw = false, .top_logprobs = std::min(2, most), .score_token = 0},
                             {.score_token = 11}};
  for (size_t i = 0; i < wants.size(); ++i) wants[i].row = static_cast<int32_t>(i);
  const Samples samples =
      driver.Step({{.sequence = a, .tokens = Prompt(5, std::ssize(wants), v), .wants = wants}});
  for (size_t i = 0; i < wants.size(); ++i) {
    const auto position = static_cast<int64_t>(i);
    ExpectSample(samples[0][i],
                 ExpectedSample(driver[a].logits[position], wants[i], nullptr, nullptr, position + 1),
                 wants[i], At(position, i), context.findings);
  }
}

void CheckPenalties(Context& context) {
  const OpenedExecutor opened = context.Open(MainModel());
  Driver driver(*opened, context.findings);
  const int32_t v = driver.info().vocab_size;
  const SamplingParams modes[] = {{.temperature = 0.0, .repetition_penalty = 1.7},
                                  {.temperature = 0.0, .presence_penalty = 4.0},
                                  {.temperature = 1.0, .frequency_penalty = 1.5, .seed = 9},
                                  // What was fed most often wins.
                                  {.temperature = 0.0, .presence_penalty = -20.0, .frequency_penalty = -5.0}};
  // The prompt repeats a few ids often, so that counts matter.
  const auto prompt = [&](uint64_t seed, int64_t n) {
    std::vector<int32_t> tokens = Prompt(seed, n, v);
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (i % 3 != 0) tokens[i] = tokens[i] % 5;
    }
    return tokens;
  };
  TokenHistory histories[2];
  for (TokenHistory& history : histories) history.Reset(v, {});
  const auto decode = [&](const std::vector<int32_t>& sequences, int steps) {
    for (int step = 0; step < steps; ++step) {
      std::vector<Piece> pieces;
      for (const int32_t s : sequences) {
        Want want{.params = modes[(step + s) % std::ssize(modes)], .top_logprobs = 0};
        pieces.push_back({.sequence = s, .tokens = {kLastSampled}, .wants = {want}});
      }
      const Samples samples = driver.Step(pieces);
      for (size_t i = 0; i < pieces.size(); ++i) {
        const int32_t s = pieces[i].sequence;
        const int64_t position = driver[s].end() - 1;
        TokenHistory& history = histories[s % 2];
        history.Add(driver[s].tokens.back());
        ExpectSample(
            samples[i][0],
            ExpectedSample(driver[s].logits[position], pieces[i].wants[0], nullptr, &history, position + 1),
            pieces[i].wants[0], fmt::format("sequence {} at position {}", s, position), context.findings);
      }
    }
  };
  const auto prefill = [&](int32_t s, const std::vector<int32_t>& tokens) {
    driver.Step({{.sequence = s, .tokens = tokens, .wants = {{}}}});
    for (const int32_t token : tokens) histories[s % 2].Add(token);
  };
  const int32_t a = driver.Add(), b = driver.Add();
  prefill(a, prompt(31, 20));
  prefill(b, prompt(32, 9));
  decode({a, b}, 6);
  // A fork counts what it reuses; a fresh sequence in a used slot counts nothing of before.
  driver.End(b);
  std::vector<BlockCopy> copies;
  const int64_t reused = 17;
  const int32_t fork = driver.Fork(a, reused, copies);
  driver.executor().CopyBlocks(copies);
  driver.End(a);
  histories[fork % 2].Reset(v, Slice(driver[a].tokens, 0, reused));
  prefill(fork, prompt(33, 3));
  const int32_t fresh = driver.Add();
  histories[fresh % 2].Reset(v, {});
  prefill(fresh, prompt(34, 4));
  decode({fresh, fork}, 5);
}

void CheckMasks(Context& context) {
  const std::shared_ptr<Model> twins = Twins();
  const OpenedExecutor opened = context.Open(*twins);
  Driver driver(*opened, context.findings);
  const int32_t v = driver.info().vocab_size;
  const int32_t a = driver.Add(), b = driver.Add();
  TokenMask first_only(v, false), last_only(v, false), all(v, true), upper(v, true);
  first_only.Set(0, true);
  last_only.Set(v - 1, true);
  for (int32_t id = 0; id < v / 2; ++id) upper.Set(id, false);
  const TokenMask half = SomeIds(v, 3, 50), few = SomeIds(v, 4, 3);
  const TokenMask short_mask(v - 40, true);  // ids beyond its size are not allowed
  const TokenMask* masks[] = {&first_only, nullptr, &last_only, &half, &few, &all, &short_mask, &upper};
  for (const double temperature : {0.0, 1.5}) {
    Piece first{.sequence = a, .tokens = Prompt(41, std::ssize(masks), v)},
        second{.sequence = b, .tokens = Prompt(42, std::ssize(masks), v)};
    for (size_t i = 0; i < std::size(masks); ++i) {
      Want want{.row = static_cast<int32_t>(i),
                .params = {.temperature = temperature, .top_k = i % 2 == 1 ? 4 : 0, .seed = i},
                .mask = masks[i],
                .top_logprobs = 2};
      if (driver.info().can.top_logprobs < 2) want.top_logprobs = -1;
      first.wants.push_back(want);
      want.mask = masks[std::size(masks) - 1 - i];
      second.wants.push_back(want);
    }
    const int64_t begin = driver[a].end();
    const Samples samples = driver.Step({first, second});
    for (size_t p = 0; p < 2; ++p) {
      const Piece& piece = p == 0 ? first : second;
      for (size_t i = 0; i < piece.wants.size(); ++i) {
        const int64_t position = begin + static_cast<int64_t>(i);
        const Want& want = piece.wants[i];
        ExpectSample(
            samples[p][i],
            ExpectedSample(driver[piece.sequence].logits[position], want, want.mask, nullptr, position + 1),
            want, At(position, i), context.findings);
      }
    }
  }
}

void CheckEmptyMask(Context& context) {
  const OpenedExecutor opened = context.Open(MainModel());
  Driver driver(*opened, context.findings, {.logits = false});
  const int32_t v = driver.info().vocab_size;
  const int32_t a = driver.Add(), b = driver.Add(), c = driver.Add();
  const TokenMask none(v, false), no_ids, half = SomeIds(v, 5, 50);
  const Samples samples = driver.Step(
      {{.sequence = a, .tokens = {1, 2}, .wants = {{.mask = &none}}},
       {.sequence = b, .tokens = {3}, .wants = {{.mask = &half}}},
       {.sequence = c, .tokens = {4, 5}, .wants = {{.params = {.temperature = 1.0}, .mask = &no_ids}}}});
  context.findings.Expect(samples[0][0].empty_mask, "a mask without ids: the sample does not say so");
  context.findings.Expect(samples[2][0].empty_mask, "a mask of size 0: the sample does not say so");
  context.findings.Expect(!samples[1][0].empty_mask && half.allows(samples[1][0].token),
                          "a batch mate of an empty mask has token {}", samples[1][0].token);
  // A void row is fed as 0, and nothing aborts.
  driver.Step({{.sequence = a, .tokens = {kLastSampled}, .wants = {{}}},
               {.sequence = b, .tokens = {kLastSampled}, .wants = {{}}}});
}

void CheckLateMasks(Context& context) {
  const OpenedExecutor opened = context.Open(MainModel()), twin = context.Open(MainModel());
  Driver late(*opened, context.findings), early(*twin, context.findings);
  const int32_t v = late.info().vocab_size;
  const TokenMask half = SomeIds(v, 6, 50), few = SomeIds(v, 7, 4), none(v, false);
  for (Driver* driver : {&late, &early}) {
    for (int i = 0; i < 3; ++i) driver->Add();
  }
  for (int step = 0; step < 4; ++step) {
    std::vector<Piece> pieces;
    for (int32_t s = 0; s < 3; ++s) {
      const TokenMask* masks[] = {&half, &few, nullptr};
      Want want{.params = {.temperature = 1.2, .seed = 8}, .mask = masks[(s + step) % 3], .late = s != 1};
      // Two samples of one sequence, one of them late.
      Piece piece{.sequence = s, .tokens = Prompt(static_cast<uint64_t>(60 + step), 2, v)};
      piece.wants = {{.row = 0, .mask = &few}, want};
      pieces.push_back(piece);
    }
    const Samples actual = late.Step(pieces);
    for (Piece& piece : pieces) {
      for (Want& want : piece.wants) want.late = false;
    }
    const Samples expected = early.Step(pieces);
    for (size_t p = 0; p < 3; ++p) {
      for (size_t i = 0; i < 2; ++i)
        context.findings.Expect(actual[p][i].token == expected[p][i].token && actual[p][i].finite,
                                "step {}: sample {} of sequence {} is {} with late masks, {} without", step,
                                i, p, actual[p][i].token, expected[p][i].token);
    }
  }
  const Samples voids = late.Step({{.sequence = 0, .tokens = {1}, .wants = {{.mask = &none, .late = true}}},
                                   {.sequence = 1, .tokens = {1}, .wants = {{.mask = &half, .late = true}}}});
  context.findings.Expect(voids[0][0].empty_mask && !voids[1][0].empty_mask && half.allows(voids[1][0].token),
                          "a late mask without ids");
}

}  // namespace oxidized::conformance
