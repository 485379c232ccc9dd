// The one exception that this library throws. What a function of the caller's own throws passes through the
// library unchanged.
#pragma once

#include <stdexcept>
#include <string>

#include "oxidized/abi.h"

namespace oxidized {
OXIDIZED_INLINE namespace v1 {

enum class ErrorKind {  // the values are the program's exit codes
  kInternal = 1,        // a defect of the library
  kUsage = 2,           // an option or argument is out of range, or does not fit the model
  kBadFile = 3,      // model or tokenizer missing, damaged or of another kind; a chat that cannot be rendered
  kNoMemory = 4,     // what was asked for does not fit into memory, or onto the disk
  kContextFull = 5,  // the prompt is longer than the context
  kRequestFailed = 7,  // the engine ended the request: logits that are not finite, a device that failed
  kUnsupported = 8,    // a valid wish that this build or device cannot fulfil
  kNetwork = 9,        // a download: the hub cannot be reached, refuses, or sends what it should not
};

class OXIDIZED_API Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& what);
  ~Error() override;
  ErrorKind kind() const noexcept { return kind_; }
  // what(): one line of UTF-8 that says what was found and what was expected. This: what helps against
  // errors of this kind, one sentence that lives as long as the program.
  const char* what_to_do() const noexcept;

 private:
  ErrorKind kind_;
};

}  // namespace v1
}  // namespace oxidized
