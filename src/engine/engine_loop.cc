// The loop: what others ask for -> one step -> its events into the mailboxes -> the wakers.
#include "engine/engine_loop.h"

#include <algorithm>
#include <exception>

#include "base/process.h"
#include "engine/inbox.h"

namespace oxidized {

using internal::CallCommand, internal::CancelCommand, internal::SubmitCommand;

namespace {
constexpr RequestId kNoRequest = 0;  // the engine counts from 1
}  // namespace

EngineLoop::EngineLoop(std::unique_ptr<Engine> engine, const EngineLoopOptions& options)
    : options_(options),
      inbox_(std::make_shared<internal::Inbox>()),
      engine_(std::move(engine)),
      thread_(StartThread([this] { Run(); })) {}

EngineLoop::~EngineLoop() { inbox_->Stop(); }

int32_t EngineLoop::streams() const { return inbox_->totals->streams; }
int64_t EngineLoop::mailbox_bytes() const { return inbox_->totals->bytes; }

tl::expected<Stream, RequestError> EngineLoop::Submit(Request request, std::shared_ptr<StreamWaker> waker) {
  if (auto refusal = engine_->Refusal(request)) return tl::unexpected(std::move(*refusal));
  auto mailbox = inbox_->Submit(request, std::move(waker), options_.max_streams);
  if (mailbox != nullptr) return Stream(std::move(mailbox), inbox_);
  if (inbox_->draining())
    return tl::unexpected(RequestError{ErrorKind::kRequestFailed, "no more requests are taken"});
  return tl::unexpected(RequestError{
      ErrorKind::kNoMemory, fmt::format("{} requests are open, and no more may be", options_.max_streams)});
}

bool EngineLoop::Drain(std::chrono::nanoseconds timeout) {
  OX_CHECK(std::this_thread::get_id() != thread_.get_id());
  return inbox_->Drain(timeout);
}

void EngineLoop::Post(std::function<void(const Engine&)> function) const {
  OX_CHECK(std::this_thread::get_id() != thread_.get_id());
  inbox_->Call(std::move(function));
}

void EngineLoop::Run() {
  std::vector<internal::Command> commands;
  for (bool stopping = false; !stopping;) {
    stopping = !inbox_->TakeAll(commands, !busy_);
    for (internal::Command& command : commands) Guarded([&] { CarryOut(command); });
    commands.clear();
    Guarded([&] {
      if (stopping) {
        for (const auto& [id, mailbox] : live_) engine_->Cancel(id);
      }
      if (busy_) busy_ = engine_->Step();
      Deliver();
    });
    Wake();
  }
}

// The engine ends the requests of a step that failed by itself. What it throws all the same (no memory, a
// defect) ends every request, since it is not known whose it was; the thread goes on for the next ones.
template <typename Action>
void EngineLoop::Guarded(Action&& action) {
  try {
    action();
  } catch (const std::exception& failure) {
    EndAll(failure.what());
  } catch (...) {
    EndAll("an exception of unknown type");
  }
}

void EngineLoop::CarryOut(internal::Command& command) {
  if (auto* submit = std::get_if<SubmitCommand>(&command)) {
    Begin(std::move(submit->mailbox), std::move(submit->request));
  } else if (auto* cancel = std::get_if<CancelCommand>(&command)) {
    engine_->Cancel(cancel->mailbox->request);
  } else {
    std::get<CallCommand>(command).function(*engine_);
  }
}

// The request's controller, observers and sinks go with it: it is freed on this thread, as the engine does.
void EngineLoop::Begin(std::shared_ptr<Mailbox> mailbox, Request request) {
  const auto refuse = [&](RequestError error) {
    if (mailbox->End(Finished{StopReason::kError, std::move(error), {}})) woken_.push_back(mailbox);
    inbox_->Ended(1);
  };
  try {
    // Waking a reader needs no memory: it is what is left to do when there is none.
    for (auto* list : {&woken_, &waking_}) {
      const size_t most = woken_.size() + live_.size() + 1;
      if (list->capacity() < most) list->reserve(2 * most);
    }
    woken_ids_.reserve(woken_.capacity());
    const auto place = live_.emplace_hint(live_.end(), kNoRequest, mailbox);
    auto node = live_.extract(place);  // what needs memory is done before the engine has the request
    const auto id = engine_->Submit(std::move(request));
    if (!id) return refuse(id.error());
    node.key() = mailbox->request = *id;
    live_.insert(std::move(node));
    busy_ = true;
  } catch (const std::exception& failure) {
    refuse({ErrorKind::kRequestFailed, failure.what()});
  } catch (...) {
    refuse({ErrorKind::kRequestFailed, "an exception of unknown type"});
  }
}

void EngineLoop::Deliver() {
  int64_t ended = 0;
  for (const RequestId id : engine_->TakeChanged()) {
    const auto live = live_.find(id);
    engine_->TakeEvents(id, events_);
    if (live == live_.end()) continue;  // given up by EndAll
    const bool last = !events_.empty() && std::holds_alternative<Finished>(events_.back());
    if (live->second->Put(events_)) woken_.push_back(live->second);
    if (!last) continue;
    live_.erase(live);
    ++ended;
  }
  if (ended > 0) inbox_->Ended(ended);
}

void EngineLoop::EndAll(const std::string& why) {
  for (const auto& [id, mailbox] : live_) {
    Finished end{StopReason::kError, RequestError{ErrorKind::kRequestFailed, why}, {}};
    try {
      engine_->TakeEvents(id, events_);
      if (mailbox->Put(events_)) woken_.push_back(mailbox);
      engine_->Fail(id, *end.error);
      engine_->TakeEvents(id, events_);
      for (Event& event : events_) {
        if (auto* finished = std::get_if<Finished>(&event)) end.stats = std::move(finished->stats);
      }
    } catch (const std::exception&) {  // nothing more can be said of it than that it ended
    }
    if (mailbox->End(std::move(end))) woken_.push_back(mailbox);
  }
  const auto ended = static_cast<int64_t>(live_.size());
  live_.clear();
  inbox_->Ended(ended);
}

// Each waker once, with all of its streams that have something new. Without a lock: it may call the loop.
void EngineLoop::Wake() {
  while (!woken_.empty()) {
    waking_.swap(woken_);
    woken_.clear();
    std::erase_if(waking_,
                  [](const auto& mailbox) { return mailbox->waker == nullptr || mailbox->waker_failed; });
    std::stable_sort(waking_.begin(), waking_.end(),
                     [](const auto& a, const auto& b) { return std::less<>{}(a->waker, b->waker); });
    for (size_t begin = 0, end = 0; begin < waking_.size(); begin = end) {
      StreamWaker& waker = *waking_[begin]->waker;
      woken_ids_.clear();
      for (; end < waking_.size() && waking_[end]->waker.get() == &waker; ++end)
        woken_ids_.push_back(waking_[end]->id);
      try {
        waker.Wake(woken_ids_);
      } catch (...) {
        DropStreamsOf(waker);
      }
    }
    waking_.clear();  // a stream whose reader is gone is freed now
  }
}

// A reader that cannot be told of its streams will not read them.
void EngineLoop::DropStreamsOf(const StreamWaker& waker) {
  for (const auto& [id, mailbox] : live_) mailbox->waker_failed |= mailbox->waker.get() == &waker;
  Guarded([&] {
    for (const auto& [id, mailbox] : live_) {
      if (mailbox->waker_failed) engine_->Cancel(id);
    }
    Deliver();
  });
}

}  // namespace oxidized
