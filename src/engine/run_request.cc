#include "engine/run_request.h"

#include <exception>
#include <utility>

namespace oxidized {
namespace {

// Keeps what `row` throws: the engine knows only that the sink failed.
class RowSink final : public LogitsSink {
 public:
  explicit RowSink(const LogitsRow& row) : row_(row) {}
  void Row(int64_t position, std::span<const float> logits) override {
    try {
      row_(position, logits);
    } catch (...) {
      thrown_ = std::current_exception();
      throw;
    }
  }
  const std::exception_ptr& thrown() const { return thrown_; }  // once the request has ended

 private:
  const LogitsRow& row_;
  std::exception_ptr thrown_;
};

}  // namespace

Stream SubmitOrThrow(EngineLoop& loop, Request request, std::shared_ptr<StreamWaker> waker) {
  auto stream = loop.Submit(std::move(request), std::move(waker));
  if (!stream) throw Error(stream.error());
  return std::move(*stream);
}

void RunRequest(EngineLoop& loop, Request request, const RequestWatch& watch) {
  constexpr auto kPatience = std::chrono::milliseconds(50);
  Stream stream = SubmitOrThrow(loop, std::move(request));
  for (std::vector<Event> events; !stream.finished();) {
    stream.Wait(watch.give_up ? kPatience : kForever);
    if (watch.give_up && watch.give_up()) stream.Cancel();
    stream.Take(events);
    for (const Event& event : events) {
      if (watch.on_event) watch.on_event(event);
      const auto* end = std::get_if<Finished>(&event);
      if (end != nullptr && end->error) throw Error(*end->error);
    }
  }
}

void RunForLogits(EngineLoop& loop, std::vector<int32_t> tokens, const LogitsRow& row,
                  const RequestWatch& watch) {
  RowSink sink(row);
  Request request;
  request.prompt = std::move(tokens);
  request.logits = &sink;
  try {
    RunRequest(loop, std::move(request), watch);
  } catch (const Error&) {
    if (sink.thrown()) std::rethrow_exception(sink.thrown());
    throw;
  }
}

}  // namespace oxidized
