// Where an interactive program's lines come from: libedit on a terminal (history, editing, paste,
// completion), plain reads everywhere else. Knows nothing of what the lines mean. Used by interactive.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace oxidized::cli {

struct InputLine {
  enum class Kind : uint8_t {
    kText,
    kInterrupted,  // a signal came (PendingSignal()); what was typed is gone
    kEnd,          // end of input, Ctrl-D on an empty line
  };
  Kind kind;
  std::string text;  // may hold newlines: pasted, or lines that ended with a backslash
};

class LineSource {
 public:
  virtual ~LineSource() = default;
  // `prefill` is there to be edited; a source that cannot edit ignores it.
  virtual InputLine Read(std::string_view prefill) = 0;
  virtual bool CanEdit() const = 0;
};

struct LineSourceOptions {
  bool terminal = false;  // somebody types: show a prompt
  bool edit = false;      // and the terminal can move its cursor
  bool color = false;
  std::vector<std::string> commands;  // completed by Tab at the beginning of a line
};

std::unique_ptr<LineSource> OpenLineSource(LineSourceOptions options);

}  // namespace oxidized::cli
