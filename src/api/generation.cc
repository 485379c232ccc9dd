#include "api/generation.h"

#include <iterator>
#include <utility>

#include "api/guard.h"
#include "api/inner.h"

namespace oxidized::v1 {

void Generation::Impl::Collect() {
  stream.Read();
  for (oxidized::Delta& delta : parser->TakeDeltas()) ready.push_back(Outer(std::move(delta)));
}

Answer Generation::Impl::Complete() {
  Answer answer = Outer(stream, *parser);
  if (stream.finished()->error) answer.error = ErrorOf(*stream.finished()->error);
  return answer;
}

Generation::Generation(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Generation::Generation(Generation&&) noexcept = default;
Generation& Generation::operator=(Generation&&) noexcept = default;
Generation::~Generation() = default;

std::optional<Delta> Generation::Next() {
  return Guarded([&]() -> std::optional<Delta> {
    while (impl_->ready.empty()) {
      if (done()) return std::nullopt;
      impl_->stream.Wait();
      impl_->Collect();
    }
    Delta delta = std::move(impl_->ready.front());
    impl_->ready.pop_front();
    return delta;
  });
}

std::vector<Delta> Generation::Poll() {
  return Guarded([&] {
    if (!done()) impl_->Collect();
    std::deque<Delta> ready = std::exchange(impl_->ready, {});
    return std::vector<Delta>(std::make_move_iterator(ready.begin()), std::make_move_iterator(ready.end()));
  });
}

bool Generation::done() const { return impl_->stream.finished() != nullptr; }

void Generation::Cancel() { impl_->stream.Cancel(); }

Answer Generation::Finish() {
  return Guarded([&] {
    while (!done()) {
      impl_->stream.Wait();
      impl_->Collect();
    }
    Answer answer = impl_->Complete();
    if (answer.error) throw Error(*answer.error);
    return answer;
  });
}

}  // namespace oxidized::v1
