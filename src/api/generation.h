// What stands behind a Generation: its stream and its parser, and the model that both need.
#pragma once

#include <deque>
#include <memory>

#include "chat/answer_request.h"
#include "chat/answer_stream.h"
#include "model_host/runtime.h"
#include "oxidized/generate.h"

namespace oxidized::v1 {

struct OXIDIZED_HIDDEN Generation::Impl {
  // Throws oxidized::Error if the request is refused.
  Impl(std::shared_ptr<Runtime> model, AnswerRequest request, std::shared_ptr<StreamWaker> waker)
      : runtime(std::move(model)),
        parser(std::move(request.parser)),
        stream(runtime->loop(), std::move(request.request), *parser, std::move(waker)) {}

  void Collect();     // reads what has come; never waits
  Answer Complete();  // once the stream has finished; with Answer::error where the engine ended it

  const std::shared_ptr<Runtime> runtime;
  const std::unique_ptr<AnswerParser> parser;
  AnswerStream stream;
  std::deque<Delta> ready;  // that nobody took yet
};

}  // namespace oxidized::v1
