// The border between the inner code's errors and the API's one exception, and between both and what functions
// of the caller throw.
#pragma once

#include <exception>
#include <utility>

#include "base/error.h"
#include "oxidized/error.h"

namespace oxidized::v1 {

Error ErrorOf(const RequestError& error);

// Throws the exception that is being handled as the API's Error.
[[noreturn]] void RethrowAsError();

// Calls functions of the caller from within inner code, and remembers what they throw.
class CallersFunctions {
 public:
  template <typename Call>
  void Run(Call&& call) {
    try {
      call();
    } catch (...) {
      thrown_ = std::current_exception();
      throw;
    }
  }
  const std::exception_ptr& thrown() const { return thrown_; }

 private:
  std::exception_ptr thrown_;
};

// What inner code throws leaves as the API's Error; what `callers` threw leaves as it was.
template <typename Work>
auto Guarded(Work&& work, const CallersFunctions& callers = {}) {
  try {
    return std::forward<Work>(work)();
  } catch (...) {
    if (callers.thrown()) std::rethrow_exception(callers.thrown());
    RethrowAsError();
  }
}

}  // namespace oxidized::v1
