#include "bench/requests.h"

#include <chrono>
#include <optional>

#include "base/interrupt.h"
#include "base/rng.h"
#include "bench/run_watch.h"

namespace oxidized {
namespace {

using Clock = std::chrono::steady_clock;

StageTotals Difference(const StageTotals& after, const StageTotals& before) {
  StageTotals d = after;
  d.steps -= before.steps;
  d.rows -= before.rows;
  for (size_t i = 0; i < before.stages.size(); ++i) {
    d.stages[i].microseconds -= before.stages[i].microseconds;
    d.stages[i].bytes -= before.stages[i].bytes;
    d.stages[i].flops -= before.stages[i].flops;
  }
  return d;
}

// The timed part of several answers, looked at from within their steps: on the engine's thread alone, until
// all have ended. The last one to begin is the clock: from one of its tokens to the next is a step.
class TimedPart {
 public:
  TimedPart(const Engine& engine, int64_t requests, int64_t untimed, int64_t steps)
      : engine_(engine), requests_(requests), untimed_(untimed), steps_(steps) {}

  // Token `count` (from 1) of a request. False: it need not go on.
  bool OnToken(size_t request, int64_t count) {
    if (result_.complete) return false;
    if (count == 1 && ++begun_ == requests_) clock_ = request;
    if (clock_ != request) return true;
    if (ticks_ == untimed_) {
      before_ = engine_.decode_totals();
      watch_.emplace();
      start_ = Clock::now();
    } else if (ticks_ == untimed_ + steps_) {
      End(Clock::now());
    }
    ++ticks_;
    return !result_.complete;
  }

  BenchRequests::Decoding& result() { return result_; }

 private:
  void End(Clock::time_point end) {
    result_.complete = true;
    result_.sample.seconds = std::chrono::duration<double>(end - start_).count();
    watch_->NoteIn(result_.sample);
    result_.totals = Difference(engine_.decode_totals(), before_);
    result_.together = result_.totals.steps == steps_ && result_.totals.rows == steps_ * requests_;
  }

  const Engine& engine_;
  const int64_t requests_, untimed_, steps_;
  int64_t begun_ = 0, ticks_ = 0;
  std::optional<size_t> clock_;
  std::optional<RunWatch> watch_;
  Clock::time_point start_;
  StageTotals before_;
  BenchRequests::Decoding result_;
};

// Leaves one random token to the sampler, another one each time.
class OneRandomToken final : public TokenController {
 public:
  OneRandomToken(int32_t vocab_size, uint64_t seed, uint64_t stream)
      : mask_(vocab_size, false), seed_(seed), stream_(stream) {
    Draw();
  }
  void Time(std::shared_ptr<TimedPart> part, size_t request) {
    part_ = std::move(part);
    request_ = request;
  }
  Verdict OnToken(int32_t) override {
    mask_.Set(token_, false);
    Draw();
    return {.stop = part_ != nullptr && !part_->OnToken(request_, static_cast<int64_t>(drawn_) - 1),
            .forced = {}};
  }
  const TokenMask* NextMask() override { return &mask_; }

 private:
  void Draw() {
    token_ =
        static_cast<int32_t>(RandomBits(seed_, stream_, drawn_++)[0] % static_cast<uint32_t>(mask_.size()));
    mask_.Set(token_, true);
  }
  TokenMask mask_;
  uint64_t seed_, stream_, drawn_ = 0;
  int32_t token_ = 0;
  std::shared_ptr<TimedPart> part_;
  size_t request_ = 0;
};

}  // namespace

BenchTotals BenchTotals::operator-(const BenchTotals& before) const {
  return {Difference(prefill, before.prefill), Difference(decode, before.decode)};
}

Request BenchRequests::Make(std::vector<int32_t> prompt, int64_t new_tokens) const {
  Request request;
  request.prompt = std::move(prompt);
  request.max_new_tokens = new_tokens;
  request.sampling.temperature = 0.0;
  return request;
}

std::vector<int32_t> BenchRequests::RandomTokens(uint64_t stream, int64_t count) const {
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t bits = RandomBits(seed_, stream, static_cast<uint64_t>(i))[0];
    tokens.push_back(static_cast<int32_t>(bits % static_cast<uint32_t>(info().vocab_size)));
  }
  return tokens;
}

std::shared_ptr<TokenController> BenchRequests::RandomAnswer(uint64_t stream) const {
  return std::make_shared<OneRandomToken>(info().vocab_size, seed_, stream);
}

Stream BenchRequests::Submit(Request request) {
  auto stream = loop_.Submit(std::move(request));
  if (!stream) throw Error(stream.error());
  return std::move(*stream);
}

// Asks now and then whether to end: a signal wakes nobody who waits for a stream.
Finished BenchRequests::Await(Stream& stream) {
  constexpr auto kAsk = std::chrono::milliseconds(50);
  for (;;) {
    ThrowIfInterrupted();
    if (!stream.Wait(kAsk)) continue;
    for (Event& event : stream.Take()) {
      auto* finished = std::get_if<Finished>(&event);
      if (finished == nullptr) continue;
      if (finished->error) throw Error(*finished->error);
      return std::move(*finished);
    }
  }
}

Finished BenchRequests::Run(Request request) {
  Stream stream = Submit(std::move(request));
  return Await(stream);
}

BenchRequests::Decoding BenchRequests::Decode(std::vector<std::vector<int32_t>> prompts, uint64_t answers,
                                              int64_t untimed, int64_t steps) {
  const Engine& engine = *loop_.Call([](const Engine& own) { return &own; });
  const auto part = std::make_shared<TimedPart>(engine, std::ssize(prompts), untimed, steps);
  std::vector<Stream> streams;
  for (size_t s = 0; s < prompts.size(); ++s) {
    Request request = Make(std::move(prompts[s]), info().max_context);
    auto answer = std::make_shared<OneRandomToken>(info().vocab_size, seed_, answers + s);
    answer->Time(part, s);
    request.controller = std::move(answer);
    streams.push_back(Submit(std::move(request)));
  }
  std::optional<StopReason> early;
  for (Stream& stream : streams) {
    const Finished finished = Await(stream);
    if (early || finished.reason == StopReason::kController) continue;
    early = finished.reason;  // without it the others have no end
    for (Stream& other : streams) other.Cancel();
  }
  Decoding result = std::move(part->result());
  if (early) result.reason = *early;
  return result;
}

BenchTotals BenchRequests::Totals() {
  return loop_.Call(
      [](const Engine& engine) { return BenchTotals{engine.prefill_totals(), engine.decode_totals()}; });
}

}  // namespace oxidized
