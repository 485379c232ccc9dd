// What goes to the person's terminal: the answer on stdout, all else on stderr, and nothing a model wrote can
// take the terminal over.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/printable.h"

namespace oxidized::cli {

// Writes to stdout and flushes, neutralised if it is a terminal. Throws OutputClosed when nobody reads any
// more, OutputFailed (kBadFile) when it cannot be written: there is nothing to go on for.
struct OutputClosed {};
struct OutputFailed : Error {
  using Error::Error;
};
void WriteAnswer(std::string_view text);
bool AnswerIsOnTerminal();

// A terminal that can move its cursor and show colours: $TERM is set, known, and not "dumb".
bool CapableTerminal();

// Reasoning, calls and remarks on stderr; dimmed when `color` and stderr is a capable terminal.
class SideStream {
 public:
  explicit SideStream(bool color);
  ~SideStream() { ClearStatus(); }  // what comes next may be a message of another
  SideStream(const SideStream&) = delete;
  SideStream& operator=(const SideStream&) = delete;
  void Write(std::string_view text, bool dim);  // as it comes
  void Line(std::string_view text);             // plain, on a line of its own; on a terminal not cut in words
  void Remark(std::string_view text);           // the same, dim: about the answer, not part of it
  void EndLine();                               // if one is open
  void Status(std::string_view text);           // transient, terminals only: replaced by the next output
  // The answer shares the screen with this stream: tells where it left the cursor.
  void AnswerWritten(std::string_view text);
  bool terminal() const { return terminal_; }

 private:
  void ClearStatus();
  void Put(std::string_view text, bool dim);
  bool terminal_, capable_, color_;
  bool line_open_ = false, status_shown_ = false;
};

// Keeps the numbers of standard streams that are closed from files that are opened later: an answer must not
// be written into one of them. To be called first.
void KeepStandardStreams();

// SIGINT, SIGTERM, SIGHUP and SIGPIPE handled orderly: the first one asks the loop to end, the second ends
// the process.
void InstallSignalHandlers();
// For handlers: the kernel may give a signal to any thread, but only the first one waits for input and must
// be woken. True: it was passed on to that one, there is nothing more to do.
bool ForwardSignal(int number);
int PendingSignal();  // 0, SIGINT, SIGTERM or SIGHUP
// For a chat in a terminal: SIGINT only ever asks, however often it comes, and can be taken back.
void KeepRunningOnInterrupt();
void ClearInterrupt();  // SIGTERM and SIGHUP stay

// While it lives, what is typed does not show in the middle of an answer; it waits for the next line.
class QuietInput {
 public:
  // `raw`: the next line's reader edits by itself, so the kernel should not.
  QuietInput(bool terminal, bool raw);
  ~QuietInput();
  QuietInput(const QuietInput&) = delete;
  QuietInput& operator=(const QuietInput&) = delete;

 private:
  bool changed_ = false;
};

}  // namespace oxidized::cli
