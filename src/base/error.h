// Errors that a user can meet: what went wrong, and which exit code of the program says so.
//
// Three kinds of trouble are kept apart. A broken invariant of our own is OX_CHECK: it aborts and is never
// reachable from input. A bad file, flag, device or lack of memory at load time throws Error. A bad request
// to a running engine is a value (tl::expected with RequestError), so that it can never take other requests
// with it.
#pragma once

#include <fmt/core.h>

#include <stdexcept>
#include <string>

namespace oxidized {

// The values are the program's exit codes; the table with remedies is in docs/errors.md.
enum class ErrorKind {
  kInternal = 1,         // a defect of this program
  kUsage = 2,            // bad option or argument
  kBadFile = 3,          // model, tokenizer or input file missing, damaged or of another kind
  kNoMemory = 4,         // what was asked for does not fit
  kContextFull = 5,      // prompt longer than the context, or the conversation filled it
  kCutBeforeAnswer = 6,  // the token limit ended the generation inside the reasoning
  kRequestFailed = 7,    // the engine ended the request (non-finite logits, executor failure)
  kUnsupported = 8,      // a valid wish that this build or version cannot fulfil
  kNetwork = 9,          // a download: the hub cannot be reached, refuses, or sends what it should not
  kNoAnswer = 10,        // the model ended its turn without an answer or a call
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

// Throws Error. Messages name the component, what was found and what was expected, on one line.
template <typename... Args>
[[noreturn]] void Fail(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(kind, fmt::format(format, std::forward<Args>(args)...));
}

// What became of one request that the engine refused or ended; other requests go on.
struct RequestError {
  ErrorKind kind;
  std::string message;
};

namespace internal {
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition);
}

}  // namespace oxidized

// A broken invariant of our own code: prints the place and aborts. Never put input validation behind it.
#define OX_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::oxidized::internal::CheckFailed(__FILE__, __LINE__, #condition))
