#include "cli/terminal/line_editor.h"

#include <histedit.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cwchar>
#include <optional>
#include <utility>

#include "base/interrupt.h"
#include "cli/terminal/input.h"
#include "cli/terminal/terminal.h"
#include "tokenizer/utf8_stream.h"

namespace oxidized::cli {
namespace {

constexpr size_t kMaxPaste = size_t{1} << 22;  // characters; a terminal that never ends a paste stops here

volatile std::sig_atomic_t resized = 0, continued = 0;
void OnResize(int number) {
  if (!ForwardSignal(number)) resized = 1;
}
void OnContinue(int number) {
  if (!ForwardSignal(number)) continued = 1;
}

// A line whose last character is a backslash goes on in the next one.
bool Continues(std::string& line) {
  if (line.empty() || line.back() != '\\') return false;
  line.back() = '\n';
  return true;
}

class PlainLines final : public LineSource {
 public:
  explicit PlainLines(bool prompt) : prompt_(prompt) {}
  bool CanEdit() const override { return false; }

  InputLine Read(std::string_view) override {
    std::string message;
    while (true) {
      if (prompt_) WriteAnswer(message.empty() ? "> " : "| ");
      std::string line;
      const InputLine::Kind kind = ReadOne(line);
      if (kind == InputLine::Kind::kEnd && !message.empty()) return {InputLine::Kind::kText, message};
      if (kind != InputLine::Kind::kText) return {kind, {}};
      const bool more = Continues(line);
      message += line;
      if (!more) return {InputLine::Kind::kText, std::move(message)};
    }
  }

 private:
  static InputLine::Kind ReadOne(std::string& line) {
    try {
      if (!ReadLine(line)) return InputLine::Kind::kEnd;
    } catch (const Interrupted&) {
      return InputLine::Kind::kInterrupted;
    }
    if (!line.empty() && line.back() == '\r') line.pop_back();
    return InputLine::Kind::kText;
  }

  const bool prompt_;
};

std::string ToUtf8(std::wstring_view text) {
  std::string out;
  for (const wchar_t wide : text) {
    const auto c = static_cast<uint32_t>(wide);
    const auto tail = [c](int shift) { return static_cast<char>(0x80 | (c >> shift & 0x3F)); };
    if (c < 0x80) {
      out += static_cast<char>(c);
    } else if (c < 0x800) {
      out += {static_cast<char>(0xC0 | c >> 6), tail(0)};
    } else if (c < 0x10000) {
      out += {static_cast<char>(0xE0 | c >> 12), tail(6), tail(0)};
    } else {
      out += {static_cast<char>(0xF0 | c >> 18), tail(12), tail(6), tail(0)};
    }
  }
  return RepairUtf8(out);
}

// Decodes bytes one by one; a broken sequence is U+FFFD, as everywhere else.
class WideReader {
 public:
  // Throws nothing; false until a character is whole.
  bool Push(unsigned char byte, wchar_t& out) {
    if (left_ > 0 && (byte & 0xC0) == 0x80) {
      value_ = value_ << 6 | (byte & 0x3Fu);
      if (--left_ > 0) return false;
      out = static_cast<wchar_t>(value_);
      return true;
    }
    left_ = byte >= 0xF0 ? 3 : byte >= 0xE0 ? 2 : byte >= 0xC0 ? 1 : 0;
    if (left_ == 0) {
      out = byte < 0x80 ? static_cast<wchar_t>(byte) : L'\uFFFD';
      return true;
    }
    value_ = byte & (0x3Fu >> left_);
    return false;
  }

 private:
  uint32_t value_ = 0;
  int left_ = 0;
};

std::wstring ToWide(std::string_view text) {
  WideReader reader;
  std::wstring out;
  for (const char c : text) {
    if (wchar_t wide = 0; reader.Push(static_cast<unsigned char>(c), wide)) out += wide;
  }
  return out;
}

class EditedLines final : public LineSource {
 public:
  explicit EditedLines(LineSourceOptions options) : options_(std::move(options)) {
    // libedit writes characters by the locale; without one that has them it would print escapes.
    if (std::setlocale(LC_CTYPE, "") == nullptr || MB_CUR_MAX == 1) std::setlocale(LC_CTYPE, "C.UTF-8");
    struct sigaction action{};  // no SA_RESTART: a waiting read must see it
    action.sa_handler = OnResize;
    sigaction(SIGWINCH, &action, nullptr);
    action.sa_handler = OnContinue;
    sigaction(SIGCONT, &action, nullptr);

    history_ = history_winit();
    HistEventW event;
    history_w(history_, &event, H_SETSIZE, 1000);
    history_w(history_, &event, H_SETUNIQUE, 1);

    editor_ = el_init("oxidized_gpt_oss", stdin, stdout, stderr);
    el_wset(editor_, EL_CLIENTDATA, this);
    el_wset(editor_, EL_GETCFN, &GetCharacter);
    el_wset(editor_, EL_PROMPT_ESC, &Prompt, L'\1');
    el_wset(editor_, EL_HIST, history_w, history_);
    el_wset(editor_, EL_EDITOR, L"emacs");
    el_source(editor_, nullptr);  // the person's own ~/.editrc
    el_wset(editor_, EL_ADDFN, L"ox-paste", L"Insert pasted text", &Paste);
    el_wset(editor_, EL_ADDFN, L"ox-newline", L"Insert a newline", &Newline);
    el_wset(editor_, EL_ADDFN, L"ox-complete", L"Complete a command", &Complete);
    constexpr const wchar_t* kKeys[][2] = {
        {L"\\e[200~", L"ox-paste"},     {L"\\e^M", L"ox-newline"},      {L"\\e^J", L"ox-newline"},
        {L"^I", L"ox-complete"},        {L"^R", L"em-inc-search-prev"}, {L"\\e[3~", L"ed-delete-next-char"},
        {L"\\e[1;5C", L"em-next-word"}, {L"\\e[1;5D", L"ed-prev-word"}, {L"\\e[H", L"ed-move-to-beg"},
        {L"\\e[F", L"ed-move-to-end"},  {L"\\e[1~", L"ed-move-to-beg"}, {L"\\e[4~", L"ed-move-to-end"},
    };
    for (const auto& [key, function] : kKeys) el_wset(editor_, EL_BIND, key, function, nullptr);
  }
  ~EditedLines() override {
    el_end(editor_);
    history_wend(history_);
  }
  bool CanEdit() const override { return true; }

  InputLine Read(std::string_view prefill) override {
    std::string message;
    if (!prefill.empty()) el_wpush(editor_, (L"\033[200~" + ToWide(prefill) + L"\033[201~").c_str());
    while (true) {
      continuing_ = !message.empty();
      InputLine line = ReadOne();
      if (line.kind == InputLine::Kind::kEnd && continuing_) break;
      if (line.kind != InputLine::Kind::kText) return line;
      const bool more = Continues(line.text);
      message += line.text;
      if (!more) break;
    }
    if (message.find_first_not_of(" \n") != std::string::npos) {
      HistEventW event;
      history_w(history_, &event, H_ENTER, ToWide(message).c_str());
    }
    return {InputLine::Kind::kText, std::move(message)};
  }

 private:
  InputLine ReadOne() {
    constexpr std::string_view kPasteOn = "\033[?2004h", kPasteOff = "\033[?2004l";
    std::fwrite(kPasteOn.data(), 1, kPasteOn.size(), stdout);
    el_wset(editor_, EL_PREP_TERM, 1);  // before the prompt: a key may come as soon as it shows
    int length = 0;
    const wchar_t* line = el_wgets(editor_, &length);
    std::fwrite(kPasteOff.data(), 1, kPasteOff.size(), stdout);
    if (line == nullptr) {
      std::fputs(PendingSignal() == SIGINT ? "^C\n" : "\n", stdout);
      std::fflush(stdout);
      return {PendingSignal() != 0 ? InputLine::Kind::kInterrupted : InputLine::Kind::kEnd, {}};
    }
    std::fflush(stdout);
    std::wstring_view text(line, static_cast<size_t>(length));
    while (!text.empty() && text.back() == L'\n') text.remove_suffix(1);
    return {InputLine::Kind::kText, ToUtf8(text)};
  }

  static EditedLines& Of(EditLine* editor) {
    void* self = nullptr;
    el_wget(editor, EL_CLIENTDATA, &self);
    return *static_cast<EditedLines*>(self);
  }

  // libedit writes an escape sequence with the character behind it: one at the very end would never come.
  static wchar_t* Prompt(EditLine* editor) {
    static wchar_t plain[] = L"> ", bold[] = L"\1\033[1m\1>\1\033[0m\1 ", more[] = L"| ";
    const EditedLines& self = Of(editor);
    return self.continuing_ ? more : self.options_.color ? bold : plain;
  }

  // Waits for a character with the signals of this program let through only while waiting, so that none is
  // missed between the check and the wait.
  static int GetCharacter(EditLine* editor, wchar_t* out) {
    sigset_t ours, before;
    sigemptyset(&ours);
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGCONT}) sigaddset(&ours, number);
    sigprocmask(SIG_BLOCK, &ours, &before);
    WideReader reader;
    int result = 0;
    while (result == 0) {
      if (resized != 0) {
        resized = 0;
        ClearInput(editor);
        el_resize(editor);
        el_wset(editor, EL_REFRESH);
      }
      if (continued != 0) {  // stopped by Ctrl-Z and back: the shell has changed the terminal's mode
        continued = 0;
        el_wset(editor, EL_PREP_TERM, 0);
        el_wset(editor, EL_PREP_TERM, 1);
        el_wset(editor, EL_REFRESH);
      }
      if (PendingSignal() != 0) {
        errno = EINTR;
        result = -1;
        break;
      }
      pollfd input{STDIN_FILENO, POLLIN, 0};
      if (::ppoll(&input, 1, nullptr, &before) <= 0) continue;
      unsigned char byte = 0;
      const ssize_t got = ::read(STDIN_FILENO, &byte, 1);
      if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (got <= 0) break;  // end of input
      if (reader.Push(byte, *out)) result = 1;
    }
    sigprocmask(SIG_SETMASK, &before, nullptr);
    return result;
  }

  // libedit draws anew from where the cursor is; terminals have folded the old lines to the new width by now.
  static void ClearInput(EditLine* editor) {
    winsize size{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return;
    const LineInfoW* line = el_wline(editor);
    int rows = 0, column = 2;  // behind the prompt
    for (const wchar_t* at = line->buffer; at < line->cursor; ++at) {
      column = *at == L'\n' ? 0 : *at == L'\t' ? (column | 7) + 1 : column + std::max(0, ::wcwidth(*at));
      if (*at == L'\n' || column >= size.ws_col) ++rows;
      if (column >= size.ws_col) column -= size.ws_col;
    }
    if (rows > 0) std::printf("\033[%dA", rows);
    std::fputs("\r\033[J", stdout);
    std::fflush(stdout);
  }

  static unsigned char Paste(EditLine* editor, wint_t) {
    constexpr std::wstring_view kEnd = L"\033[201~";
    std::wstring text;
    wchar_t c = 0;
    while (text.size() < kMaxPaste && !text.ends_with(kEnd)) {
      if (el_wgetc(editor, &c) != 1) return CC_EOF;
      text += c == L'\r' ? L'\n' : c;
    }
    if (text.ends_with(kEnd)) text.resize(text.size() - kEnd.size());
    while (text.ends_with(L'\n')) text.pop_back();  // Enter sends, a paste never does
    std::erase_if(text, [](wchar_t control) {
      return (control < 0x20 && control != L'\n' && control != L'\t') || (control >= 0x7F && control < 0xA0);
    });
    if (!text.empty() && el_winsertstr(editor, text.c_str()) != 0) return CC_ERROR;
    return CC_REFRESH;
  }

  static unsigned char Newline(EditLine* editor, wint_t) {
    return el_winsertstr(editor, L"\n") == 0 ? CC_REFRESH : CC_ERROR;
  }

  static unsigned char Complete(EditLine* editor, wint_t) {
    const LineInfoW* line = el_wline(editor);
    const std::string typed = ToUtf8({line->buffer, static_cast<size_t>(line->cursor - line->buffer)});
    if (typed.empty() || typed.front() != '/')
      return el_winsertstr(editor, L"\t") == 0 ? CC_REFRESH : CC_ERROR;
    std::optional<std::string> common;
    std::string choices;
    for (const std::string& command : Of(editor).options_.commands) {
      if (!command.starts_with(typed)) continue;
      choices += "  " + command;
      if (!common) {
        common = command + " ";
      } else {
        size_t same = 0;
        while (same < common->size() && same < command.size() && (*common)[same] == command[same]) ++same;
        common->resize(same);
      }
    }
    if (!common) return CC_REFRESH_BEEP;
    if (common->size() <= typed.size()) {  // several begin so
      FILE* out = nullptr;
      if (el_wget(editor, EL_GETFP, 1, &out) != 0) return CC_REFRESH_BEEP;
      fmt::print(out, "\n{}\n", choices);
      return CC_REDISPLAY;
    }
    return el_winsertstr(editor, ToWide(common->substr(typed.size())).c_str()) == 0 ? CC_REFRESH : CC_ERROR;
  }

  const LineSourceOptions options_;
  EditLine* editor_ = nullptr;
  HistoryW* history_ = nullptr;
  bool continuing_ = false;
};

}  // namespace

std::unique_ptr<LineSource> OpenLineSource(LineSourceOptions options) {
  if (options.terminal && options.edit) return std::make_unique<EditedLines>(std::move(options));
  return std::make_unique<PlainLines>(options.terminal);
}

}  // namespace oxidized::cli
