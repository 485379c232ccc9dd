#include "oxidized/model.h"

#include <condition_variable>
#include <map>
#include <mutex>
#include <utility>

#include "api/generation.h"
#include "api/guard.h"
#include "api/inner.h"
#include "base/error.h"
#include "engine/run_request.h"
#include "tokenizer/decode.h"

namespace oxidized::v1 {
namespace {

// Which of many streams have something to read.
class ReadyStreams final : public StreamWaker {
 public:
  explicit ReadyStreams(size_t streams) { ids_.reserve(streams); }  // each is named once between two reads
  void Wake(std::span<const StreamId> ids) override {
    std::lock_guard lock(mutex_);
    ids_.insert(ids_.end(), ids.begin(), ids.end());
    some_.notify_one();
  }
  // Waits until there are some. `ids`: in place of what is in there, whose memory is used again.
  void Take(std::vector<StreamId>& ids) {
    ids.clear();
    std::unique_lock lock(mutex_);
    some_.wait(lock, [this] { return !ids_.empty(); });
    ids_.swap(ids);
  }

 private:
  std::mutex mutex_;
  std::condition_variable some_;
  std::vector<StreamId> ids_;
};

}  // namespace

struct OXIDIZED_HIDDEN Model::Impl {
  std::unique_ptr<Generation::Impl> Begin(const Request& request,
                                          std::shared_ptr<StreamWaker> waker = nullptr) const {
    Check(std::holds_alternative<Chat>(request.prompt) ? Text::kChat : Text::kTokens);
    return std::make_unique<Generation::Impl>(runtime, Inner(request, *runtime), std::move(waker));
  }
  // Throws Error(kUsage) where the model was opened with less than `least`.
  void Check(Text least) const {
    if (text >= least) return;
    Fail(oxidized::ErrorKind::kUsage, "text: the model was opened without what this needs, expected {}",
         least == Text::kChat ? "Text::kChat" : "Text::kTokens or Text::kChat");
  }

  std::shared_ptr<Runtime> runtime;
  Text text;
};

Model::Model(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

Model Model::Open(const OpenOptions& options) {
  CallersFunctions callers;
  return Guarded(
      [&] {
        RuntimeOptions runtime = Inner(options);
        if (options.progress) {
          const auto tell = [&](Progress::Stage stage, int64_t done, int64_t total) {
            callers.Run(
                [&] { options.progress({.stage = stage, .done_bytes = done, .total_bytes = total}); });
          };
          runtime.download.progress = [tell](const hub::PullProgress& pulled) {
            tell(Progress::Stage::kDownloading, pulled.done_bytes, pulled.total_bytes);
          };
          runtime.device.progress = [tell](PrepareStage stage, int64_t done, int64_t total) {
            tell(Outer(stage), done, total);
          };
        }
        return Model(std::make_shared<Impl>(Impl{Runtime::Load(runtime), options.text}));
      },
      callers);
}

ModelInfo Model::info() const {
  return Guarded([&] { return Outer(*impl_->runtime); });
}

Tokens Model::Tokenize(std::string_view text, bool specials) const {
  return Guarded([&] {
    impl_->Check(Text::kTokens);
    const Tokenizer& tokenizer = impl_->runtime->tokenizer();
    return specials ? tokenizer.EncodeWithSpecials(text) : tokenizer.Encode(text);
  });
}

std::string Model::Detokenize(std::span<const std::int32_t> ids) const {
  return Guarded([&] {
    impl_->Check(Text::kTokens);
    return Decode(ids, impl_->runtime->tokenizer());
  });
}

Tokens Model::Render(const Chat& chat) const {
  return Guarded([&] {
    impl_->Check(Text::kChat);
    return ChatPrompt(Inner(chat), impl_->runtime->tokenizer(), impl_->runtime->harmony());
  });
}

void Model::Logits(std::span<const std::int32_t> ids, const OnLogits& row) const {
  CallersFunctions callers;
  Guarded(
      [&] {
        RunForLogits(impl_->runtime->loop(), Tokens(ids.begin(), ids.end()),
                     [&](int64_t position, std::span<const float> logits) {
                       callers.Run([&] { row(position, logits); });
                     });
      },
      callers);
}

Generation Model::Start(const Request& request) const {
  return Guarded([&] { return Generation(impl_->Begin(request)); });
}

Answer Model::Generate(const Request& request, const OnDelta& on_delta) const {
  Generation generation = Start(request);
  for (bool wanted = static_cast<bool>(on_delta); wanted;) {
    const std::optional<Delta> delta = generation.Next();
    if (!delta) break;
    wanted = on_delta(*delta);
    if (!wanted) generation.Cancel();
  }
  return generation.Finish();
}

std::vector<Answer> Model::GenerateMany(std::span<const Request> requests, const OnDeltaOf& on_delta) const {
  struct Running {
    std::unique_ptr<Generation::Impl> generation;  // null: it was refused, or has ended
    bool wanted = true;                            // its deltas
  };
  const auto ready = std::make_shared<ReadyStreams>(requests.size());
  std::vector<Answer> answers(requests.size());
  std::vector<Running> running(requests.size());
  std::map<StreamId, size_t> places;
  size_t left = 0;
  for (size_t i = 0; i < requests.size(); ++i) {
    try {
      running[i].generation = Guarded([&] { return impl_->Begin(requests[i], ready); });
      places[running[i].generation->stream.id()] = i;
      ++left;
    } catch (const Error& error) {
      answers[i].end = End::kError;
      answers[i].error = error;
    }
  }

  std::vector<StreamId> ids;
  ids.reserve(requests.size());
  while (left > 0) {
    ready->Take(ids);
    for (const StreamId id : ids) {
      const size_t i = places.at(id);
      Running& one = running[i];
      if (one.generation == nullptr) continue;
      Guarded([&] { one.generation->Collect(); });
      for (const Delta& delta : std::exchange(one.generation->ready, {})) {
        if (!on_delta || !one.wanted) break;
        one.wanted = on_delta(i, delta);
        if (!one.wanted) one.generation->stream.Cancel();
      }
      if (one.generation->stream.finished() == nullptr) continue;
      answers[i] = Guarded([&] { return one.generation->Complete(); });
      one.generation.reset();
      --left;
    }
  }
  return answers;
}

const char* Version() { return OXIDIZED_VERSION; }

}  // namespace oxidized::v1
