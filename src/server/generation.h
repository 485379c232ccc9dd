// One HTTP request that generates: its answers run in the engine, and what comes of them is written to its
// exchange. Lives until the last byte is handed over or the client has left. Belongs to the I/O thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/engine_loop.h"
#include "server/answer_writer.h"
#include "server/http_exchange.h"
#include "server/prepared.h"

namespace oxidized::server {

// Totals since the server began.
struct GenerationTotals {
  int64_t requests = 0, cancelled = 0, failed = 0;
  int64_t prompt_tokens = 0, cached_tokens = 0, generated_tokens = 0;
  int64_t finished[3] = {};  // answers, by FinishReason
};

class Generation;

// All that run, by their streams; brings the engine's wake-ups to the I/O thread, with one post for all the
// steps since the last one.
class Generations final : public StreamWaker, public std::enable_shared_from_this<Generations> {
 public:
  // `post` runs a function on the I/O thread, from any thread. What is handed in must outlive the streams.
  Generations(EngineLoop& loop, const Tokenizer& tokenizer, std::function<void(std::function<void()>)> post)
      : loop_(loop), tokenizer_(tokenizer), post_(std::move(post)) {}

  // Answers the exchange, now or later. Throws ApiError where the engine refuses the request.
  void Start(std::shared_ptr<HttpExchange> exchange, PreparedRequest request,
             std::unique_ptr<AnswerWriter> writer);

  void Wake(std::span<const StreamId> ids) override;  // the engine's thread
  void EndAll();                                      // what still runs is cancelled, and not answered

  int64_t answers() const { return static_cast<int64_t>(by_stream_.size()); }  // that run or wait
  int64_t decoding() const;  // of these, those that have begun
  const GenerationTotals& totals() const { return totals_; }

 private:
  friend class Generation;
  void Deliver();

  EngineLoop& loop_;
  const Tokenizer& tokenizer_;
  const std::function<void(std::function<void()>)> post_;
  std::map<StreamId, std::shared_ptr<Generation>> by_stream_;
  GenerationTotals totals_;

  std::mutex mutex_;
  std::vector<StreamId> woken_;
  bool posted_ = false;
};

}  // namespace oxidized::server
