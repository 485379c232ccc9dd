#include "chat/answer_stream.h"

#include <utility>
#include <variant>

#include "engine/run_request.h"

namespace oxidized {

AnswerStream::AnswerStream(EngineLoop& loop, Request request, AnswerParser& parser,
                           std::shared_ptr<StreamWaker> waker)
    : parser_(parser), stream_(SubmitOrThrow(loop, std::move(request), std::move(waker))) {}

std::optional<PrefillProgress> AnswerStream::Read() {
  std::optional<PrefillProgress> progress;
  stream_.Take(events_);
  for (Event& event : events_) {
    if (const auto* read = std::get_if<PrefillProgress>(&event)) progress = *read;
    if (auto* token = std::get_if<GeneratedToken>(&event)) {
      parser_.Push(token->token, token->forced);
      tokens_.push_back(std::move(*token));
    }
    if (auto* end = std::get_if<Finished>(&event)) {
      finished_ = std::move(*end);
      parser_.Finish();
    }
  }
  return progress;
}

}  // namespace oxidized
