// Errors that a user can meet: what went wrong, and which exit code of the program says so.
//
// Three kinds of trouble are kept apart. A broken invariant of our own is OX_CHECK: it aborts and is never
// reachable from input. A bad file, setting, device or lack of memory at load time throws Error. A bad
// request to a running engine is a value (tl::expected with RequestError), so that it can never take other
// requests with it.
#pragma once

#include <fmt/core.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/setting.h"

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

// What is wrong, in parts; any of them may be empty. As a line: "SETTING: COMPONENT: FOUND, expected
// EXPECTED; REMEDY, or REMEDY".
struct Fault {
  Setting setting = Setting::kNone;  // what was asked for and cannot be, or was not and should be
  std::string value = {};            // of the setting, where the error is about one: "int8"
  std::string component = {};        // a part of the program, a file: "tokenizer", "model/config.json"
  std::string found = {};
  std::string expected = {};
  std::vector<Remedy> remedies = {};  // each of them helps

  std::string Text(const Spelling& spelling) const;
};

// What became of one request that the engine refused or ended; other requests go on.
struct RequestError {
  ErrorKind kind;
  std::string message;
  Setting setting = Setting::kNone;  // the one that the message is about
};

class Error : public std::runtime_error {
 public:
  // what() calls settings by their names (base/setting.h); a front end writes fault().Text() with its own.
  Error(ErrorKind kind, Fault fault);
  Error(ErrorKind kind, const std::string& message);  // all of it is what was found
  explicit Error(const RequestError& error);
  ErrorKind kind() const { return kind_; }
  const Fault& fault() const { return fault_; }
  Setting setting() const { return fault_.setting; }

 private:
  ErrorKind kind_;
  Fault fault_;
};

namespace internal {
[[noreturn]] void Throw(ErrorKind kind, fmt::string_view format, fmt::format_args args);
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition);
}  // namespace internal

// Throws Error. Messages are one line, in the form "COMPONENT: FOUND, expected EXPECTED": the format, not the
// values, says where the parts end. A component is one word of the format, such as "tokenizer" or "{}".
template <typename... Args>
[[noreturn]] void Fail(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  internal::Throw(kind, format, fmt::make_format_args(args...));
}

}  // namespace oxidized

// A broken invariant of our own code: prints the place and aborts. Never put input validation behind it.
#define OX_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::oxidized::internal::CheckFailed(__FILE__, __LINE__, #condition))
