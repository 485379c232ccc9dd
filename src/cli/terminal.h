// What goes to the person's terminal: the answer on stdout, all else on stderr, and nothing a model wrote can
// take the terminal over.
#pragma once

#include <string>
#include <string_view>

namespace oxidized::cli {

// Control characters (but newline and tab) as visible symbols, so that text cannot send escape sequences.
std::string NeutralizeControls(std::string_view text);

// Writes to stdout and flushes, neutralised if it is a terminal. Throws OutputClosed when nobody reads any
// more.
struct OutputClosed {};
void WriteAnswer(std::string_view text);

// Reasoning and calls on stderr; dimmed when `color` and stderr is a terminal.
class SideStream {
 public:
  explicit SideStream(bool color);
  void Write(std::string_view text);   // dim
  void Line(std::string_view text);    // one plain line, on a line of its own
  void Status(std::string_view text);  // transient, terminals only: replaced by the next output

 private:
  void ClearStatus();
  bool terminal_, dim_;
  bool line_open_ = false, status_shown_ = false;
};

// SIGINT, SIGTERM and SIGPIPE handled orderly: the first interrupt asks the loop to end, the second ends the
// process.
void InstallSignalHandlers();
int PendingSignal();  // 0, SIGINT or SIGTERM

// The whole of a file, or of standard input for "-". Throws Error(kBadFile).
std::string ReadInput(const std::string& path);

}  // namespace oxidized::cli
