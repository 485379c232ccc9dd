"""The chat in a pseudo-terminal: what a person types and what is then on the screen.

Run by ctest with OXIDIZED_PROGRAM set to the program (an emulator may stand before it, separated by '|').
"""

import fcntl
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import time
import unicodedata
import unittest

import scripted_model

PROGRAM = [word for word in os.environ["OXIDIZED_PROGRAM"].split("|") if word]
ROOT = pathlib.Path(__file__).resolve().parents[2]
TOKENIZER = ROOT / "tests/golden/tokenizer/tokenizer.json"
PATIENCE = 30 if len(PROGRAM) == 1 else 200  # seconds; the machine may be busy, and emulation is slow


class Screen:
    """As much of a VT100 as the program uses; everything else is remembered as unknown, which a test forbids."""

    def __init__(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.lines, self.row, self.column = [[]], 0, 0  # lines scroll up without end
        self.pending, self.unknown, self.dimmed = "", [], ""
        self.dim = False

    def put(self, character):
        width = 2 if unicodedata.east_asian_width(character) in "WF" else 0 if unicodedata.combining(character) else 1
        if width == 0:
            return
        if self.column + width > self.columns:
            self.row, self.column = self.row + 1, 0
        while len(self.lines) <= self.row:
            self.lines.append([])
        line = self.lines[self.row]
        line.extend(" " * (self.column + width - len(line)))
        line[self.column] = character
        if width == 2:
            line[self.column + 1] = ""
        self.column += width
        if self.dim:
            self.dimmed += character

    def control(self, arguments, final):
        first = int(arguments.split(";")[0] or 0) if re.fullmatch(r"[\d;]*", arguments) else 0
        count = max(1, first)
        line = self.lines[self.row] if self.row < len(self.lines) else []
        if final == "K" and first == 0:
            del line[self.column :]
        elif final == "J" and first == 0:
            del line[self.column :], self.lines[self.row + 1 :]
        elif final == "A":
            self.row = max(0, self.row - count)
        elif final == "B":
            self.row += count
        elif final == "C":
            self.column = min(self.columns - 1, self.column + count)
        elif final == "D":
            self.column = max(0, self.column - count)
        elif final == "G":
            self.column = count - 1
        elif final == "P":
            del line[self.column : self.column + count]
        elif final == "@":
            line[self.column : self.column] = " " * count
        elif final == "m":
            self.dim = first == 2
        elif (arguments, final) not in {("?2004", "h"), ("?2004", "l"), ("4", "h"), ("4", "l")}:
            self.unknown.append((arguments, final))

    def feed(self, text):
        text = self.pending + text
        at = 0
        while at < len(text):
            character = text[at]
            if character == "\x1b":
                sequence = re.compile(r"\x1b(?:\[([0-9;?]*)([@-~])|([()][0AB])|([=>78M]))").match(text, at)
                if not sequence:
                    if len(text) - at < 20:
                        break  # not all of it is here
                    self.unknown.append(text[at : at + 10])
                    at += 1
                    continue
                if sequence[2]:
                    self.control(sequence[1], sequence[2])
                at = sequence.end()
                continue
            if character == "\r":
                self.column = 0
            elif character == "\n":
                self.row += 1
                while len(self.lines) <= self.row:
                    self.lines.append([])
            elif character == "\b":
                self.column = max(0, self.column - 1)
            elif character == "\t":
                self.column = min(self.columns - 1, (self.column | 7) + 1)
            elif character >= " ":
                self.put(character)
            elif character != "\a":
                self.unknown.append(character)
            at += 1
        self.pending = text[at:]

    def text(self):
        return "\n".join("".join(line).rstrip() for line in self.lines)


class Terminal:
    def __init__(self, arguments, columns=100, environment=None):
        env = {k: v for k, v in os.environ.items() if not k.startswith("OXIDIZED_") and k != "NO_COLOR"}
        env.update({"TERM": "xterm", "LC_ALL": "C.UTF-8", **(environment or {})})
        self.screen = Screen(columns, 30)
        self.raw = b""
        self.decoder_rest = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
            os.execvpe(PROGRAM[0], PROGRAM + [str(a) for a in arguments], env)
        self.code = None

    def read(self, seconds=0.05):
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.fd, 1 << 16)
        except OSError:  # EIO: the other side is gone
            data = b""
        if not data:
            return False
        self.raw += data
        data = self.decoder_rest + data
        whole = len(data)
        while whole > 0 and len(data) - whole < 4:
            try:
                data[:whole].decode()
                break
            except UnicodeDecodeError as error:
                if error.reason != "unexpected end of data":
                    raise
                whole = error.start
        self.decoder_rest = data[whole:]
        self.screen.feed(data[:whole].decode())
        return True

    def wait(self, pattern, since=0):
        """Until the screen's text from `since` on matches."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            found = re.compile(pattern, re.M).search(self.screen.text(), since)
            if found:
                return found
            self.read()
        raise AssertionError(f"never on the screen: {pattern}\n{self.screen.text()[-3000:]}")

    def mark(self):
        """Where the line with the cursor begins, once nothing more comes."""
        while self.read(0.15):
            pass
        return self.screen.text().rfind("\n") + 1

    def type(self, text):
        os.write(self.fd, text.encode())

    def prompt(self, since=0):
        """The program waits for a line: an empty prompt is the last thing on the screen."""
        self.wait(r"^> ?\Z|^> ?$(?![\s\S]*\S)", since)

    def resize(self, columns):
        self.screen.columns = columns
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        os.kill(self.pid, signal.SIGWINCH)

    def leave(self):
        """The exit code; waits for the end."""
        end = time.monotonic() + PATIENCE
        while self.code is None and time.monotonic() < end:
            self.read()
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                self.code = os.waitstatus_to_exitcode(status)
        while self.read():
            pass
        return self.code

    def close(self):
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


class Chat(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp())
        cls.model = cls.folder / "tiny"
        subprocess.run(
            PROGRAM + ["synth", "--preset", "tiny", "--seed", "7", "--out", str(cls.model), "--tokenizer", str(TOKENIZER)],
            check=True, capture_output=True,
        )
        reasons = ["<|channel|>analysis<|message|>", "Hm, so "]
        cls.endless = scripted_model.make(PROGRAM, cls.folder / "endless", reasons, loop_to="H")

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def start(self, *arguments, **how):
        limit = [] if "--max-tokens" in arguments else ["--max-tokens", "4"]
        model = how.pop("model", self.model)
        terminal = Terminal(["-m", model, "-i", "--seed", "1", "--date", "none", *limit, *arguments], **how)
        self.addCleanup(terminal.close)
        self.addCleanup(lambda: self.assertEqual(terminal.screen.unknown, []))
        terminal.wait("/help lists the commands")
        terminal.prompt()
        return terminal

    def ask(self, terminal, text):
        """Types a message and waits for its closing line, which it returns."""
        since = terminal.mark()
        terminal.type(text + "\r")
        line = terminal.wait(r"^\d+ tokens?.*; prompt .*reused .*/s$", since)[0]
        terminal.wait(r"^> ?\Z", since)
        return line

    def saved(self, terminal, name="chat.json"):
        path = self.folder / name
        since = terminal.mark()
        terminal.type(f"/save! {path}\r")  # another test's may be there
        terminal.wait(r"saved \d+ messages?", since)
        return json.loads(path.read_text())["messages"]

    def questions(self, terminal):
        texts = []
        for message in self.saved(terminal):
            if message["role"] == "user":
                content = message["content"]
                texts.append(content if isinstance(content, str) else "".join(part["text"] for part in content))
        return texts

    # --- typing ----------------------------------------------------------------------------------------------------

    def test_a_chat_and_its_status_line(self):
        terminal = self.start()
        first = self.ask(terminal, "Hello there")
        self.assertIn("reused 0,", first)
        second = self.ask(terminal, "And more")
        self.assertGreater(int(re.search(r"reused (\d+)", second)[1]), 50)
        self.assertIn("> Hello there", terminal.screen.text())
        terminal.type("\x04")  # Ctrl-D
        self.assertEqual(terminal.leave(), 0)

    def test_editing_a_line(self):
        terminal = self.start()
        self.ask(terminal, "Hexxllo\x1b[D\x1b[D\x1b[D\x7f\x7f\x05 wörld 日本")  # left, backspace, end
        self.assertIn("> Hello wörld 日本", terminal.screen.text())
        self.assertEqual(self.questions(terminal), ["Hello wörld 日本"])

    def test_history(self):
        terminal = self.start()
        self.ask(terminal, "one")
        self.ask(terminal, "Two")
        self.ask(terminal, "\x1b[A\x1b[A")  # arrow up, twice
        self.assertEqual(self.questions(terminal), ["one", "Two", "one"])
        since = terminal.mark()
        terminal.type("\x12Tw")  # Ctrl-R searches; names of temporary folders, in the /save above, have no capitals
        terminal.wait("Two", since)
        terminal.type("\r")
        terminal.wait(r"; prompt", since)
        self.assertEqual(self.questions(terminal)[-1], "Two")

    def test_a_paste_of_several_lines_is_one_message(self):
        terminal = self.start()
        since = terminal.mark()
        terminal.type("\x1b[200~first line\r  second line\n\x1b[31mthird\n\x1b[201~")
        terminal.wait(r"^> first line\n  second line\n\[31mthird", since)
        terminal.mark()
        self.assertNotIn("; prompt", terminal.screen.text()[since:], "a paste was sent by itself")
        self.ask(terminal, "")
        self.assertEqual(self.questions(terminal), ["first line\n  second line\n[31mthird"])
        self.ask(terminal, "\x1b[A\x1b[A")  # history keeps it whole; the first one is the /save above
        self.assertEqual(len(set(self.questions(terminal))), 1)

    def test_lines_that_go_on(self):
        terminal = self.start()
        terminal.type("one \\\r")
        terminal.wait(r"^\| ?$")
        self.ask(terminal, "two\x1b\rthree")  # Alt-Enter
        self.assertEqual(self.questions(terminal), ["one \ntwo\nthree"])

    def test_resize_while_typing(self):
        terminal = self.start()
        since = terminal.mark()
        terminal.type("word " * 10)
        terminal.wait("(word ){9}word", since)
        terminal.resize(60)
        terminal.mark()
        self.assertEqual(terminal.screen.text()[since:].count("> word"), 1, "the prompt is there twice")
        terminal.resize(40)
        terminal.mark()
        terminal.type("end\r")
        terminal.wait("; prompt", since)
        self.assertEqual(self.questions(terminal), [("word " * 10 + "end")])

    def test_tab_completes_commands(self):
        terminal = self.start()
        terminal.type("/rea\t")
        terminal.wait("^> /reasoning ?")
        terminal.type("high\r")
        terminal.wait("reasoning effort: high")
        terminal.type("/rea\tlow\r")
        terminal.wait("reasoning effort: low")
        self.assertEqual(self.saved(terminal)[0]["content"][0]["reasoning_effort"], "Low")

    def test_tab_shows_what_begins_so(self):
        terminal = self.start()
        terminal.type("/s\t")
        terminal.wait(r"^ +/system  /save  /save!  /stats\n> /s ?\Z")
        terminal.type("ys\t\r")
        terminal.wait("no instructions")

    def test_words_of_other_programs_and_messages_that_begin_with_a_slash(self):
        terminal = self.start(*self.ENDLESS[:2], "--max-tokens", "3")
        terminal.type("/?\r")
        terminal.wait("/exit, /bye")
        terminal.type("/clear\r")
        terminal.wait("a new conversation")
        terminal.type("/sttas\r")
        terminal.wait(r"/sttas is not a command \(did you mean /stats\?\); /help lists them")
        terminal.type("/s\r")
        terminal.wait(r"did you mean /system, /save, /save!, /stats\?")
        terminal.type("//etc is a folder\r")
        terminal.wait(r"\d+ tokens? ")
        self.assertEqual([m["content"][0]["text"] for m in self.saved(terminal) if m["role"] == "user"], ["/etc is a folder"])
        terminal.type("/bye\r")
        self.assertEqual(terminal.leave(), 0)

    # --- answers ---------------------------------------------------------------------------------------------------

    ENDLESS = ("--temperature", "0", "--max-tokens", "100000")

    def test_ctrl_c_ends_the_answer_and_not_the_program(self):
        terminal = self.start(*self.ENDLESS, "--max-reasoning-tokens", "6", model=self.endless)
        since = terminal.mark()
        terminal.type("go on\r")
        terminal.wait(r"Hm, so Hm, so Hm", since)
        terminal.type("\x03\x03\x03")
        terminal.wait(r"^stopped\n\d+ tokens?.*\n(> .*\n)*> ?\Z", since)
        since = terminal.mark()
        terminal.type("half a line")
        terminal.wait("half a line", since)
        terminal.type("\x03")  # at the prompt it drops the line
        terminal.wait(r"half a line\^C\n> ?\Z", since)
        saved = self.saved(terminal)
        self.assertEqual([m["role"] for m in saved], ["system", "user", "assistant", "assistant"])
        self.assertIn("Hm, so Hm, so", json.dumps(saved[-1]))
        terminal.type("/quit\r")
        self.assertEqual(terminal.leave(), 0)

    def test_what_is_typed_during_an_answer_waits(self):
        terminal = self.start("--temperature", "0", "--max-reasoning-tokens", "6", "--max-tokens", "600", model=self.endless)
        since = terminal.mark()
        terminal.type("first\r")
        terminal.wait(r"Hm, so Hm", since)
        terminal.type("/stats\r")
        terminal.wait(r"^1 answer, 600 tokens written", since)
        self.assertEqual(re.findall(r".*/stats", terminal.screen.text()[since:]), ["> /stats"], "echoed into the answer")

    def test_reasoning_is_counted_or_dimmed_or_plain(self):
        for view, dimmed, shown in [("hidden", False, False), ("dim", True, True), ("plain", False, True)]:
            terminal = self.start("--temperature", "0", "--max-reasoning-tokens", "30", "--max-tokens", "60",
                                  f"--show-reasoning={view}", model=self.endless)
            since = terminal.mark()
            self.ask(terminal, "x")
            text = terminal.screen.text()[since:]
            lines = text.splitlines()
            self.assertEqual("Hm, so " in terminal.screen.dimmed, dimmed, view)
            self.assertEqual(lines[1].startswith("Hm, so Hm, so Hm"), True)
            self.assertEqual(lines[2].startswith("Hm, so"), shown, text)  # the answer, on a line of its own
            if view == "hidden":
                self.assertRegex(terminal.raw, rb"reasoning: \d+ tokens")  # while it lasted; right guesses skip counts
                self.assertNotIn("reasoning:", text)

    def test_what_a_model_writes_cannot_take_the_terminal_over(self):
        rude = scripted_model.make(PROGRAM, self.folder / "rude", ["<|channel|>final<|message|>\x1b[31m\x07!<|return|>"])
        terminal = self.start("--temperature", "0", "--no-color", "--max-tokens", "20", model=rude)
        self.ask(terminal, "x")
        self.assertIn("\n\u241b[31m\u2407!\n", terminal.screen.text())
        self.assertNotIn(b"\x1b[31m", terminal.raw)

    def test_sigterm_leaves_the_terminal_as_it_was(self):
        terminal = self.start()
        os.kill(terminal.pid, signal.SIGTERM)
        self.assertEqual(terminal.leave(), 143)
        self.assertTrue(terminal.raw.rstrip().endswith(b"\x1b[?2004l"), terminal.raw[-60:])

    def test_colours_on_and_off(self):
        terminal = self.start()
        self.ask(terminal, "Hello")
        self.assertIn("tokens", terminal.screen.dimmed)
        for arguments, environment in [(("--no-color",), {}), ((), {"NO_COLOR": "1"})]:
            plain = self.start(*arguments, environment=environment)
            self.ask(plain, "Hello")
            self.assertEqual(re.findall(rb"\x1b\[[0-9;]*m", plain.raw), [])

    def test_a_dumb_terminal_gets_no_escape_at_all(self):
        for term in ["dumb", "no_such_terminal"]:
            terminal = self.start(environment={"TERM": term})
            self.ask(terminal, "one \\\rtwo")
            self.assertEqual(self.questions(terminal), ["one \ntwo"])
            terminal.type("\x04")
            self.assertEqual(terminal.leave(), 0)
            self.assertNotIn(b"\x1b", terminal.raw)

    def test_a_full_context_offers_a_way_on(self):
        terminal = self.start("--context", "150", "--max-tokens", "1")
        for text in ["a b c d e f g h"] * 20:
            since = terminal.mark()
            terminal.type(text + "\r")
            terminal.wait(r"(; prompt|/drop).*\n(.*\n)*> ?\Z", since)
            if "/drop" in terminal.screen.text()[since:]:
                break
        self.assertIn("/reset", terminal.screen.text()[since:])
        before = self.questions(terminal)
        since = terminal.mark()
        terminal.type("/drop\r")
        terminal.wait(r"dropped; \d+ of 150 tokens in use", since)
        self.assertEqual(self.questions(terminal), before[1:])
        self.ask(terminal, "hi")

    # --- commands --------------------------------------------------------------------------------------------------

    def test_save_reset_load(self):
        terminal = self.start()
        self.ask(terminal, "remember this")
        before = self.saved(terminal, "a.json")
        terminal.type("/reset\r")
        terminal.wait("a new conversation")
        self.assertEqual(self.questions(terminal), [])
        terminal.type(f"/load {self.folder / 'a.json'}\r")
        terminal.wait(r"loaded \d+ messages")
        self.assertEqual(self.saved(terminal, "b.json"), before)
        self.assertGreater(int(re.search(r"reused (\d+)", self.ask(terminal, "x"))[1]), 50)
        (self.folder / "bad.json").write_text('{"messages": 7}')
        for bad in ["bad.json", "missing.json"]:
            since = terminal.mark()
            terminal.type(f"/load {self.folder / bad}\r")
            terminal.wait(rf"^[^>].*{bad}", since)
        self.assertEqual(self.questions(terminal), ["remember this", "x"])
        since = terminal.mark()
        terminal.type(f"/save {self.folder}/no/such/folder.json\r")
        terminal.wait("No such file", since)
        self.assertEqual(sorted(p.name for p in self.folder.glob("*.json.*")), [], "a temporary file was left")

    def test_a_file_of_somebody_else_is_not_saved_over_unasked(self):
        terminal = self.start()
        others, own = self.folder / "precious", self.folder / "own.json"
        others.write_text("precious")
        self.ask(terminal, "hi")

        def says(command, pattern):
            since = terminal.mark()
            terminal.type(command + "\r")
            terminal.wait(pattern, since)

        link = self.folder / "link"
        link.symlink_to(others)
        says(f"/save {others}", r"there already[\s\S]*/save!\s")
        says(f"/save {link}", r"symbolic link to[\s\S]*/save!\s")
        for save in ("/save", "/save!"):
            says(f"{save} {self.folder}", r"not a regular file")
        self.assertEqual(others.read_text(), "precious")
        says("/save!", "needs the name of a file")
        says(f"/save {own}", "saved 3 messages")
        self.ask(terminal, "ho")
        says(f"/save {own}", "saved 5 messages")  # written by this chat
        says(f"/save! {others}", "saved 5 messages")
        says(f"/save {link}", "saved 5 messages")
        self.assertEqual(json.loads(others.read_text()), json.loads(own.read_text()))

    def test_retry_and_edit(self):
        terminal = self.start()
        terminal.type("/retry\r")
        terminal.wait("no message to answer again")
        self.ask(terminal, "question")
        first = self.saved(terminal)[-1]
        self.ask(terminal, "/retry")
        self.assertEqual(self.questions(terminal), ["question"])
        self.assertNotEqual(self.saved(terminal)[-1], first)
        since = terminal.mark()
        terminal.type("/edit\r")
        terminal.wait("^> question", since)
        self.ask(terminal, " more")
        self.assertEqual(self.questions(terminal), ["question more"])
        terminal.type("/edit\r\x03")  # giving an edit up leaves everything as it was
        self.assertEqual(self.questions(terminal), ["question more"])
        self.ask(terminal, "/edit other")
        self.assertEqual(self.questions(terminal), ["other"])

    def test_system(self):
        terminal = self.start()
        terminal.type("/system Speak like a pirate.\r")
        terminal.wait("instructions set")
        self.ask(terminal, "hi")
        messages = self.saved(terminal)
        self.assertEqual(messages[1]["role"], "developer")
        self.assertEqual(messages[1]["content"][0]["instructions"], "Speak like a pirate.")
        terminal.type("/system -\r/system\r")
        terminal.wait("no instructions")
        self.assertNotIn("developer", [m["role"] for m in self.saved(terminal)])

    def test_tables(self):
        terminal = self.start(columns=120)
        terminal.type("/moe\r")
        terminal.wait("no answer yet")
        self.ask(terminal, "hi")
        self.ask(terminal, "ho")
        for command, says in [("/moe", "all 2 answers"), ("/stats", "2 answers, 8 tokens written"), ("/memory", "difference"),
                              ("/help", "/quit"), ("/nonsense", "/nonsense is not a command"), ("/reasoning huge", "none of low")]:
            since = terminal.mark()
            terminal.type(command + "\r")
            terminal.wait(re.escape(says), since)
        self.assertEqual(self.questions(terminal), ["hi", "ho"])

    def test_progress_never_wraps_however_narrow_the_terminal(self):
        for columns in (12, 24, 39):
            long_name = self.folder / ("a_name_of_some_length_" * 3 + str(columns))
            long_name.symlink_to(self.model)
            terminal = Terminal(["verify", long_name], columns=columns)
            self.addCleanup(terminal.close)
            self.assertEqual(terminal.leave(), 0)
            status = terminal.raw.split(b"\r\x1b[K")
            self.assertGreater(len(status), 1, "no progress was shown")
            for text in status[:-1]:
                self.assertLess(len(re.sub(r"\x1b\[\d*m", "", text.decode())), columns, text)

    def test_progress_tells_its_speed(self):
        for arguments in (["verify", self.model], ["convert", self.model, self.folder / "converted.gguf"]):
            terminal = Terminal(arguments, columns=300)
            self.addCleanup(terminal.close)
            self.assertEqual(terminal.leave(), 0)
            self.assertRegex(terminal.raw.decode(), r": \d+\.\d of \d+\.\d GB, [\d.]+ [kMG]B/s")

    def test_one_prompt_on_a_terminal_ends_with_a_closing_line(self):
        terminal = Terminal(["-m", self.model, "-p", "Hello", "--max-tokens", "4", "--seed", "1"])
        self.addCleanup(terminal.close)
        self.assertIn(terminal.leave(), (0, 6))
        self.assertRegex(terminal.screen.text(), r"(?m)^4 tokens, [\d.]+/s, [\d.]+ GB/s; first in [\d.]+ s; prompt \d+, reused 0, \d+/s$")

    def test_an_interrupted_prompt_is_counted_as_far_as_it_was_read(self):
        terminal = Terminal(["-m", self.model, "-p", "word " * 10000, "--chunk-tokens", "1", "--seed", "1"])
        self.addCleanup(terminal.close)
        terminal.wait("reading the prompt")
        os.kill(terminal.pid, signal.SIGINT)
        self.assertEqual(terminal.leave(), 130)
        read, of = map(int, re.search(r"(?m)^0 tokens; prompt (\d+) of (\d+), reused 0, \d+/s$", terminal.screen.text()).groups())
        self.assertLess(read, of)

    def test_remarks_break_between_words(self):
        terminal = Terminal(["-m", self.model, "-p", "Hello", "--max-tokens", "4", "--seed", "1"], columns=30)
        self.addCleanup(terminal.close)
        self.assertIn(terminal.leave(), (0, 6))
        lines = terminal.screen.text().splitlines()
        begin = next(i for i, line in enumerate(lines) if line.startswith("4 tokens,"))
        self.assertRegex("\n".join(lines[begin:]), r"^4 tokens,[^\n]*[,;]\nfirst in [\d.]+ s; prompt \d+,\nreused 0, \d+/s(\n|$)")


if __name__ == "__main__":
    unittest.main(verbosity=1)
