// What the engine puts between an executor and the sinks of one request: a sink that throws ends its own
// request and no step, and after Finished nobody calls it. The executor may call from a thread of its own,
// but only within a step that the engine waits for (such a request holds the next step back).
#pragma once

#include <exception>
#include <span>
#include <string_view>
#include <vector>

#include "executor/step_batch.h"

namespace oxidized {

// A sink of a request until it threw or was closed; nullptr from then on.
template <typename Sink>
class OwnSink {
 public:
  explicit OwnSink(Sink* target) : target_(target) {}
  void Close() { target_ = nullptr; }
  const std::exception_ptr& failure() const { return failure_; }

 protected:
  template <typename Call>
  void Pass(Call&& call) {
    if (target_ == nullptr) return;
    try {
      call(*target_);
    } catch (...) {
      failure_ = std::current_exception();
      target_ = nullptr;
    }
  }

 private:
  Sink* target_;
  std::exception_ptr failure_;
};

// Forwards each position once, also when a preempted sequence is computed again.
class OnceSink final : public LogitsSink, public OwnSink<LogitsSink> {
 public:
  using OwnSink::OwnSink;
  void Row(int64_t position, std::span<const float> logits) override {
    if (position < next_) return;
    next_ = position + 1;
    Pass([&](LogitsSink& sink) { sink.Row(position, logits); });
  }

 private:
  int64_t next_ = 0;
};

class OwnTaps final : public TapSink, public OwnSink<TapSink> {
 public:
  using OwnSink::OwnSink;
  void Tap(std::string_view name, int32_t layer, std::span<const float> values, int64_t cols) override {
    Pass([&](TapSink& sink) { sink.Tap(name, layer, values, cols); });
  }
};

// The taps of a step, for every request in it that wants them.
class StepTaps final : public TapSink {
 public:
  void Clear() { sinks_.clear(); }
  void Add(TapSink* sink) { sinks_.push_back(sink); }
  bool empty() const { return sinks_.empty(); }
  void Tap(std::string_view name, int32_t layer, std::span<const float> values, int64_t cols) override {
    for (TapSink* sink : sinks_) sink->Tap(name, layer, values, cols);
  }

 private:
  std::vector<TapSink*> sinks_;
};

}  // namespace oxidized
