"""What the program reads: encodings of text, standard input beside a prompt, and what is not a file.

Run by ctest with OXIDIZED_PROGRAM set to the program (an emulator may stand before it, separated by '|').
"""

import json
import os
import shutil
import socket
import subprocess
import unittest

from command_line import BAD_FILE, PROGRAM, TOKENIZER, USAGE, CommandLine, run

QUESTION = "Où est la gare? 🙂"
UTF8_MARK = b"\xef\xbb\xbf"
ENCODINGS = {
    "UTF-8": QUESTION.encode(),
    "UTF-8 with a mark": UTF8_MARK + QUESTION.encode(),
    "UTF-16 LE": b"\xff\xfe" + QUESTION.encode("utf-16-le"),
    "UTF-16 BE": b"\xfe\xff" + QUESTION.encode("utf-16-be"),
}
REFUSED = {
    "byte 1 is 0": "hi".encode("utf-16-le"),
    "byte 0 is 0": "hi".encode("utf-16-be"),
    "byte 3 (0xe9) is not UTF-8": "café au lait".encode("latin-1"),
    "UTF-32": b"\xff\xfe\0\0" + "hi".encode("utf-32-le"),
}


class Input(CommandLine):
    def feed(self, data, *arguments):
        """The program with these bytes on its standard input."""
        return subprocess.run(PROGRAM + [str(a) for a in arguments], input=data, capture_output=True, timeout=300)

    def ids(self, result):
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    # --- encodings -------------------------------------------------------------------------------------------------

    def test_a_text_is_the_same_in_every_encoding(self):
        tokenize = ("tokenize", "-t", TOKENIZER)
        expected = self.ids(run(*tokenize, QUESTION))
        answers = set()
        for name, data in ENCODINGS.items():
            with self.subTest(name):
                self.assertEqual(self.ids(self.feed(data, *tokenize, "-")), expected)
                record = self.feed(data, "-m", self.model, "--seed", 3, "--max-tokens", 4, "-p", "-", "--json")
                self.assertEqual(record.returncode, 0, record.stderr)
                record = json.loads(record.stdout)
                answers.add((record["text"], record["tokens"]["prompt"]))
        self.assertEqual(len(answers), 1)

    def test_a_chat_in_every_encoding(self):
        # "/quit" is the first line: behind a mark it was a message to the model.
        for encoding, mark in (("utf-8", b""), ("utf-8", UTF8_MARK), ("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff")):
            for end in ("\n", "\r\n"):
                with self.subTest(encoding=encoding, mark=mark, end=end):
                    chat = mark + f"/quit{end}hello{end}".encode(encoding)
                    self.assertEqual(self.ids(self.feed(chat, "-m", self.model, "--interactive", "--max-tokens", 2)), b"")

    def test_files_in_every_encoding(self):
        model = self.folder / "marked"
        shutil.copytree(self.model, model)
        expected = self.ids(run("tokenize", "-m", model, QUESTION))
        for encoding, mark in (("utf-8", UTF8_MARK), ("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff")):
            with self.subTest(encoding):
                for name in ("config.json", "generation_config.json", "tokenizer.json"):
                    if not (self.model / name).exists():
                        continue
                    (model / name).write_bytes(mark + (self.model / name).read_text("utf-8").encode(encoding))
                self.assertEqual(self.ids(run("tokenize", "-m", model, QUESTION)), expected)
                self.assertEqual(run("inspect", model).returncode, 0)
                settings = self.folder / "settings.conf"
                settings.write_bytes(mark + "max-tokens = 3\nseed = 1\n".encode(encoding))
                record = run("-m", model, "-p", "x", "--json", "--config", settings)
                self.assertEqual(json.loads(record.stdout)["tokens"]["generated"], 3, record.stderr)
                conversation = self.folder / "conversation.json"
                conversation.write_bytes(mark + '{"messages": [{"role": "user", "content": "é"}]}'.encode(encoding))
                rendered = self.ids(run("harmony", "render", "--text", conversation))
                self.assertIn("é".encode(), rendered)
                ids = self.folder / "ids"
                ids.write_bytes(mark + "1 2 3".encode(encoding))
                out = self.folder / f"{encoding}.npy"
                self.ids(run("logits", "-m", model, "--tokens", ids, "--out", out))

    def test_what_is_no_text_is_one_line(self):
        for says, data in REFUSED.items():
            with self.subTest(says):
                for arguments in (("-m", self.model, "-p", "-"), ("tokenize", "-t", TOKENIZER, "-"),
                                  ("harmony", "render", "-")):
                    result = self.feed(data, *arguments)
                    self.assertEqual((result.returncode, result.stdout), (BAD_FILE, b""), result.stderr)
                    self.assertEqual(result.stderr.count(b"\n"), 1)
                    self.assertIn(f"standard input: {says}", result.stderr.decode())
                file = self.folder / "odd"
                file.write_bytes(data)
                self.refused(BAD_FILE, f"{file}: {says}", "-m", self.model, "-p", "x", "--config", file)
                self.refused(BAD_FILE, f"{file}: {says}", "-m", self.model, "-p", "x", "-t", file)
                self.refused(BAD_FILE, f"{file}: {says}", "logits", "-m", self.model, "--tokens", file, "--out", self.folder / "o.npy")

    # --- standard input beside a prompt ----------------------------------------------------------------------------

    def prompt(self, *arguments, **how):
        """The text that the model is asked, told by the length of its prompt and the answer."""
        record = subprocess.run(
            PROGRAM + [str(a) for a in ("-m", self.model, "--seed", 3, "--max-tokens", 4, "--date", "none", "--json", *arguments)],
            capture_output=True, timeout=300, **how)
        self.assertEqual(record.returncode, 0, record.stderr)
        return json.loads(record.stdout)["text"], json.loads(record.stdout)["tokens"]["prompt"], record.stderr

    def test_a_piped_prompt_is_the_prompt_and_goes_behind_another(self):
        alone = self.prompt("-p", "Spell the word", input=b"")
        both = self.prompt("-p", "Spell the word\n\ntext\n", input=b"")
        self.assertNotEqual(alone[:2], both[:2])
        file = self.folder / "asked"
        file.write_text("text\n")
        self.assertEqual(self.prompt(input=b"Spell the word"), alone)
        self.assertEqual(self.prompt("-p", "Spell the word", input=b"text\n"), both)
        self.assertEqual(self.prompt("-f", file, "-p", "Spell the word", input=b""), both)
        self.assertEqual(self.prompt("-p", "Spell the word", "-f", "-", input=b"text\n"), both)
        self.assertEqual(self.prompt("-f", file, input=b"more"), self.prompt("-p", "text\n\n\nmore", input=b""))
        with file.open() as opened:
            self.assertEqual(self.prompt("-p", "Spell the word", stdin=opened), both)
        raw = ("-m", self.model, "--raw", "--temperature", 0, "--max-tokens", 4)
        self.assertEqual(self.ids(self.feed(b"b", *raw, "-p", "a")), self.ids(self.feed(b"", *raw, "-p", "a\n\nb")))

    def test_what_nobody_writes_to_is_not_waited_for(self):
        alone = self.prompt("-p", "Spell the word", input=b"")
        self.assertEqual(self.prompt("-p", "Spell the word", stdin=subprocess.DEVNULL), alone)
        with open("/dev/zero", "rb") as endless:
            self.assertEqual(self.prompt("-p", "Spell the word", stdin=endless), alone)
        pipe, held = os.pipe()
        here, there = socket.socketpair()
        with here, there:
            for silent in (pipe, there):
                answer = self.prompt("-p", "Spell the word", stdin=silent)
                self.assertEqual(answer[:2], alone[:2])
                self.assertIn(b"warning: the prompt alone is answered; standard input is open", answer[2])
            here.sendall(b"text\n")  # some hand on a socket in the place of a pipe
            here.shutdown(socket.SHUT_WR)
            self.assertEqual(self.prompt("-p", "Spell the word", stdin=there),
                             self.prompt("-p", "Spell the word\n\ntext\n", input=b""))
        os.close(pipe)
        os.close(held)

    def test_no_prompt_anywhere(self):
        self.refused(USAGE, "nothing to do: give --prompt TEXT, a prompt on standard input, ")
        self.refused(USAGE, "the prompt is empty", "-p", "")
        self.refused(USAGE, "the prompt is empty", "-p", "-")
        self.refused(BAD_FILE, "no_such_file", "-f", self.folder / "no_such_file")
        self.refused(USAGE, "--interactive and --prompt-file exclude each other", "-i", "-f", "-")


if __name__ == "__main__":
    unittest.main(verbosity=2)
