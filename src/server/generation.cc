#include "server/generation.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "server/api_error.h"
#include "server/random_id.h"

namespace oxidized::server {
namespace {

constexpr std::string_view kFunctionsPrefix = "functions.";

}  // namespace

class Generation : public std::enable_shared_from_this<Generation> {
 public:
  Generation(std::shared_ptr<Generations> all, std::shared_ptr<HttpExchange> exchange,
             PreparedRequest request, std::unique_ptr<AnswerWriter> writer)
      : all_(std::move(all)),
        exchange_(std::move(exchange)),
        request_(std::move(request)),
        writer_(std::move(writer)) {}

  void Start() {
    for (AnswerRequest& answer : request_.answers) {
      Answer& added = answers_.emplace_back();
      added.parser = std::move(answer.parser);
      added.prompt_tokens = static_cast<int64_t>(answer.request.prompt.size());
      auto stream = all_->loop_.Submit(std::move(answer.request), all_);
      if (!stream) {
        Leave();
        throw ToApiError(stream.error());
      }
      all_->by_stream_[stream->id()] = shared_from_this();
      added.stream.emplace(std::move(*stream));
    }
    ++all_->totals_.requests;
    if (request_.stream) exchange_->Begin(200, "text/event-stream", HeadFields());
    exchange_->Watch([self = shared_from_this()] { self->Pump(); },
                     [self = shared_from_this()] {
                       ++self->all_->totals_.cancelled;
                       self->Leave();
                     });
  }

  // While the socket is busy everything waits in the mailboxes.
  void Pump() {
    if (left_ || (request_.stream && !exchange_->idle())) return;
    bool all_finished = true;
    for (size_t i = 0; i < answers_.size(); ++i) {
      Take(i);
      if (left_) return;
      all_finished &= answers_[i].finished;
    }
    if (!all_finished) {
      if (request_.stream) exchange_->Write(writer_->TakeEvents());
      return;
    }
    const std::string last = writer_->End(usage_);
    if (request_.stream) {
      exchange_->Write(last);
      exchange_->End();
    } else {
      exchange_->Respond(200, "application/json", last, HeadFields());
    }
    Leave();
  }

  // The engine ends what still runs within a step.
  void Leave() {
    const auto self = shared_from_this();
    left_ = true;
    for (Answer& answer : answers_) {
      if (!answer.stream) continue;
      all_->by_stream_.erase(answer.stream->id());
      answer.stream.reset();  // cancels
    }
  }

  bool decoding() const {
    return std::any_of(answers_.begin(), answers_.end(), [](const Answer& answer) { return answer.began; });
  }

 private:
  struct Answer {
    std::optional<Stream> stream;
    std::unique_ptr<AnswerParser> parser;
    int64_t prompt_tokens = 0;
    bool began = false, finished = false;
    int32_t calls = 0;
    bool call_hidden = false;  // the call that is open is not one of the declared functions
    bool said_content = false, said_reasoning = false;
  };

  HttpFields HeadFields() const {
    HttpFields fields;
    if (request_.stream) fields.emplace_back("Cache-Control", "no-cache");
    if (!request_.skipped_tools.empty()) {
      std::string skipped;
      for (const std::string& type : request_.skipped_tools) skipped += (skipped.empty() ? "" : ", ") + type;
      fields.emplace_back("x-skipped-tools", skipped);
    }
    return fields;
  }

  void Take(size_t index) {
    Answer& answer = answers_[index];
    if (answer.finished) return;
    std::vector<ScoredToken> scored;
    std::optional<Finished> end;
    answer.stream->Take(events_);
    for (Event& event : events_) {
      if (const auto* token = std::get_if<GeneratedToken>(&event)) {
        answer.began = true;
        const bool before = answer.parser->in_answer();
        answer.parser->Push(token->token, token->forced);
        if (request_.top_logprobs >= 0 && before && answer.parser->in_answer())
          scored.push_back(Scored(*token));
      }
      if (auto* finished = std::get_if<Finished>(&event)) end = std::move(*finished);
    }
    events_.clear();
    if (end) answer.parser->Finish();
    const std::vector<Piece> pieces = PiecesOf(answer);
    if (!pieces.empty() || !scored.empty()) writer_->Add(index, pieces, scored);
    if (end) Finish(index, *end);
  }

  ScoredToken Scored(const GeneratedToken& token) const {
    const auto bytes = [&](int32_t id) { return std::string(all_->tokenizer_.TokenBytes(id).value_or("")); };
    ScoredToken scored{{bytes(token.token), token.logprob}, {}};
    for (const TokenLogprob& other : token.top) scored.top.push_back({bytes(other.token), other.logprob});
    return scored;
  }

  std::vector<Piece> PiecesOf(Answer& answer) const {
    std::vector<Piece> pieces;
    for (Delta& delta : answer.parser->TakeDeltas()) {
      switch (delta.kind) {
        case Delta::Kind::kReasoning:
          AddText(Piece::Kind::kReasoning, delta, answer.said_reasoning, pieces);
          break;
        case Delta::Kind::kAnswer:
          AddText(Piece::Kind::kContent, delta, answer.said_content, pieces);
          break;
        case Delta::Kind::kCallName: {
          const std::optional<std::string> name = FunctionOf(delta.text);
          answer.call_hidden = !name;
          if (name) pieces.push_back({Piece::Kind::kCall, *name, answer.calls++, RandomId("call_")});
          break;
        }
        case Delta::Kind::kCallArguments:
          // Nobody here runs it, and no client expects it: a thought of the model.
          if (answer.call_hidden) {
            AddText(Piece::Kind::kReasoning, delta, answer.said_reasoning, pieces);
          } else {
            pieces.push_back({Piece::Kind::kArguments, std::move(delta.text), answer.calls - 1});
          }
          break;
      }
    }
    return pieces;
  }

  // Messages of one kind are told apart by a new line.
  void AddText(Piece::Kind kind, Delta& delta, bool& said, std::vector<Piece>& pieces) const {
    if (kind == Piece::Kind::kReasoning && !request_.reasoning_shown) return;
    if (delta.opens && said) delta.text.insert(0, "\n");
    said = true;
    pieces.push_back({kind, std::move(delta.text)});
  }

  // The name that a client knows; nullopt: it is not for the client. A function that nobody declared is a
  // call all the same: the client can tell the model so.
  std::optional<std::string> FunctionOf(const std::string& recipient) const {
    if (!request_.calls_allowed) return std::nullopt;
    if (recipient.starts_with(kFunctionsPrefix)) return recipient.substr(kFunctionsPrefix.size());
    const auto& names = request_.functions;
    if (std::find(names.begin(), names.end(), recipient) != names.end()) return recipient;
    return std::nullopt;
  }

  void Finish(size_t index, const Finished& end) {
    Answer& answer = answers_[index];
    answer.finished = true;
    Count(index, end);
    if (end.reason == StopReason::kError || end.reason == StopReason::kCancelled)
      return Fail(end.error ? ToApiError(*end.error) : ApiError(503, "the server is shutting down"));
    const bool cut = end.reason == StopReason::kLength || end.reason == StopReason::kContextFull;
    const FinishReason reason = cut                ? FinishReason::kLength
                                : answer.calls > 0 ? FinishReason::kToolCalls
                                                   : FinishReason::kStop;
    ++all_->totals_.finished[static_cast<size_t>(reason)];
    writer_->Finish(index, reason);
  }

  void Count(size_t index, const Finished& end) {
    const Answer& answer = answers_[index];
    // The answers of one prompt share it.
    if (static_cast<int64_t>(index) % request_.answers_of_a_prompt == 0) {
      usage_.prompt_tokens += answer.prompt_tokens;
      usage_.cached_tokens += end.stats.reused_tokens;
    }
    usage_.completion_tokens += end.stats.generated_tokens;
    usage_.reasoning_tokens += answer.parser->reasoning_tokens();
    all_->totals_.prompt_tokens += end.stats.read_tokens;
    all_->totals_.cached_tokens += end.stats.reused_tokens;
    all_->totals_.generated_tokens += end.stats.generated_tokens;
  }

  void Fail(const ApiError& error) {
    ++all_->totals_.failed;
    if (request_.stream) {
      exchange_->Write(writer_->TakeEvents());
      exchange_->Write("data: " + error.Json() + "\n\n");
      exchange_->Write(kDone);
      exchange_->End();
    } else {
      Respond(*exchange_, error);
    }
    Leave();
  }

  const std::shared_ptr<Generations> all_;
  const std::shared_ptr<HttpExchange> exchange_;
  PreparedRequest request_;
  const std::unique_ptr<AnswerWriter> writer_;
  std::vector<Answer> answers_;
  std::vector<Event> events_;
  Usage usage_;
  bool left_ = false;
};

void Generations::Start(std::shared_ptr<HttpExchange> exchange, PreparedRequest request,
                        std::unique_ptr<AnswerWriter> writer) {
  std::make_shared<Generation>(shared_from_this(), std::move(exchange), std::move(request), std::move(writer))
      ->Start();
}

void Generations::Wake(std::span<const StreamId> ids) {
  const std::lock_guard lock(mutex_);
  woken_.insert(woken_.end(), ids.begin(), ids.end());
  if (posted_) return;
  posted_ = true;
  post_([self = shared_from_this()] { self->Deliver(); });
}

void Generations::Deliver() {
  std::vector<StreamId> woken;
  {
    const std::lock_guard lock(mutex_);
    woken.swap(woken_);
    posted_ = false;
  }
  for (const StreamId id : woken) {
    const auto found = by_stream_.find(id);
    if (found == by_stream_.end()) continue;  // it has left
    const std::shared_ptr<Generation> generation = found->second;
    generation->Pump();
  }
}

void Generations::EndAll() {
  while (!by_stream_.empty()) {
    const std::shared_ptr<Generation> generation = by_stream_.begin()->second;
    generation->Leave();
  }
}

int64_t Generations::decoding() const {
  return std::count_if(by_stream_.begin(), by_stream_.end(),
                       [](const auto& row) { return row.second->decoding(); });
}

}  // namespace oxidized::server
