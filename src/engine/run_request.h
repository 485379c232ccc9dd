// One request from its submission to its end, for a thread that has nothing else to do meanwhile; and the
// errors of a request as exceptions.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "engine/engine_loop.h"
#include "engine/stream.h"

namespace oxidized {

// EngineLoop::Submit for who has no use for a refusal but to throw it. Throws Error.
Stream SubmitOrThrow(EngineLoop& loop, Request request, std::shared_ptr<StreamWaker> waker = nullptr);

struct RequestWatch {
  std::function<void(const Event& event)> on_event;  // each event, on this thread; may be empty
  std::function<bool()> give_up;                     // asked some times a second; true: cancel. Empty: never
};

// Throws Error where the request is refused or the engine ended it, and what `on_event` throws.
void RunRequest(EngineLoop& loop, Request request, const RequestWatch& watch = {});

// Runs `tokens` and hands over the row of logits [V] behind each, in position order: on the loop's thread,
// where `row` must not wait for the loop. Throws as RunRequest; what `row` throws ends the run and is thrown.
using LogitsRow = std::function<void(int64_t position, std::span<const float> logits)>;
void RunForLogits(EngineLoop& loop, std::vector<int32_t> tokens, const LogitsRow& row,
                  const RequestWatch& watch = {});

}  // namespace oxidized
