// The answer to one request while it is being written: the events of its Stream, put through the parser that
// makes text of them. On the reader's thread; the terminal and the C++ API read answers with it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "chat/answer_parser.h"
#include "engine/engine_loop.h"
#include "engine/stream.h"

namespace oxidized {

class AnswerStream {
 public:
  // Submits the request. Throws Error if it is refused. `parser`, the one that belongs to it, must outlive
  // this.
  AnswerStream(EngineLoop& loop, Request request, AnswerParser& parser,
               std::shared_ptr<StreamWaker> waker = nullptr);

  StreamId id() const { return stream_.id(); }
  bool Wait(std::chrono::nanoseconds timeout = kForever) { return stream_.Wait(timeout); }
  void Cancel() { stream_.Cancel(); }  // from any thread
  // Reads what has come into the parser, which then has deltas to take. Never blocks. Returns the newest
  // progress of the prompt, if that is a part of it.
  std::optional<PrefillProgress> Read();

  // Of what was read.
  const std::vector<GeneratedToken>& tokens() const { return tokens_; }
  const Finished* finished() const { return finished_ ? &*finished_ : nullptr; }  // nullptr: more will come
  std::string end() const { return AnswerEnd(finished_->reason, parser_); }       // once it has finished

 private:
  AnswerParser& parser_;
  Stream stream_;
  std::vector<Event> events_;
  std::vector<GeneratedToken> tokens_;
  std::optional<Finished> finished_;
};

}  // namespace oxidized
