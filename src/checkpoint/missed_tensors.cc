#include "checkpoint/missed_tensors.h"

#include "base/error.h"
#include "base/log.h"
#include "base/printable.h"
#include "checkpoint/message_text.h"

namespace oxidized {

void MissedTensors::Add(std::string problem) {
  constexpr size_t kShown = 4;
  if (count_++ < kShown) problems_.push_back(std::move(problem));
}

void MissedTensors::ThrowIfAny(const std::string& note) const {
  if (count_ == 0) return;
  std::string message = source_ + ": ";
  for (size_t i = 0; i < problems_.size(); ++i) message += (i == 0 ? "" : "; ") + problems_[i];
  if (count_ > problems_.size())
    message += fmt::format("; and {} more tensors that do not fit", count_ - problems_.size());
  throw Error(ErrorKind::kBadFile, message + note);
}

void MissedTensors::Warn(const std::vector<std::string_view>& unused) const {
  Log(LogLevel::kWarning, "{}: {} ignored, not part of gpt-oss, the first {}", source_,
      Counted(std::ssize(unused), "tensor"), Quoted(unused.front()));
}

}  // namespace oxidized
